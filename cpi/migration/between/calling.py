"""The move between clouds as a function."""

import contextlib
import uuid

from cpi.agent.protocol import Agent, Deadlines
from cpi.agent.shell import Shell
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CloudProperties, Metadata
from cpi.contract.units import MiB
from cpi.migration.between.destination import Destination
from cpi.migration.between.far import FarSite
from cpi.migration.disks import Site
from cpi.migration.plan import Order
from cpi.migration.report import OnEvent, Report, Verify
from cpi.migration.routine import carry_out
from cpi.migration.stopping import Limits


def move_between_clouds(  # noqa: PLR0913 - the keywords are what a caller may know, and each can be left out
    old: tuple[Cloud, Agent, Shell],
    vm_cid: VmCid,
    old_disk_cid: DiskCid,
    new_cloud: Cloud,
    to: Destination,
    size: MiB,
    cloud_properties: CloudProperties | None = None,
    *,
    metadata: Metadata | None = None,
    start_jobs: bool | None = None,
    verify: Verify = Verify.CHANGES,
    limits: Limits | None = None,
    move_id: str | None = None,
    deadlines: Deadlines | None = None,
    on_event: OnEvent | None = None,
) -> Report:
    """Put a VM's data and its jobs on a new VM of another cloud, the old VM and its disk kept, stopped.

    Given:   old is the VM's cloud, its agent, and a root shell in it; to describes the new VM, and how data gets there.
             size and cloud_properties are the new disk's. The rest is as in migrate_disk.
    Then:    report.new_vm_cid has report.disk_cid mounted as its store, with what the jobs had written, and its jobs run if
             they ran before. The old disk is attached to the old VM and mounted nowhere.
    Again:   with the same move_id, what a killed process left is found and finished; give start_jobs then.
    Raises:  MoveRefused, with nothing changed. MoveFailed: before the jobs are started there with everything undone on both
             clouds and the jobs on the old disk, after it with a report of what is left.
    """
    order = Order(
        move_id=move_id or str(uuid.uuid4()),
        vm_cid=vm_cid,
        old_disk_cid=old_disk_cid,
        size=size,
        cloud_properties=cloud_properties or {},
        metadata=metadata or {},
        start_jobs=start_jobs,
        verify=verify,
        limits=limits or Limits(),
        to=to,
    )
    cloud, agent, shell = old
    site = Site(cloud, agent, vm_cid, shell)
    with FarSite(lambda: contextlib.nullcontext(new_cloud), to, order.token, deadlines, order.move_id) as far:
        site.far = far
        return carry_out(order, site, on_event, again=move_id is not None)
