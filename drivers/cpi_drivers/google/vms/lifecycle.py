"""VMs that exist: found, rebooted, labelled, deleted."""

from typing import Any, Final

from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import Metadata
from cpi_drivers.google import naming, tags
from cpi_drivers.google.api import errors, inventory
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.disks import hints
from cpi_drivers.google.vms import balancing, placement

Item = dict[str, Any]

_OFF: Final = frozenset({"TERMINATED", "STOPPED"})


def reboot(account: Account, vm_cid: VmCid) -> None:
    """The hard way; a VM that is off is started."""

    def started_anew() -> None:
        item = inventory.describe_living(account, vm_cid)
        if item["status"] in inventory.LEAVING:
            item = account.wait(lambda: _off(account, vm_cid), f"the VM {vm_cid} does not stop", account.patience.vm_running)
        account.client.do("instances.start" if item["status"] in _OFF else "instances.reset", **inventory.place(item))

    account.anew(started_anew)


def set_metadata(account: Account, vm_cid: VmCid, metadata: Metadata) -> None:
    """Labels, added to those that are there. What BOSH itself says of the VM is in its metadata too, for its guest."""
    item = inventory.describe_living(account, vm_cid)
    known = [item]

    def change() -> None:
        present = known.pop() if known else inventory.describe_living(account, vm_cid)
        wanted = tags.added(tags.dashed(metadata), present.get("labels", {}))
        if wanted != present.get("labels", {}):
            body = {"labels": wanted, "labelFingerprint": present["labelFingerprint"]}
            account.client.do("instances.setLabels", body, **inventory.place(present))

    tags.changed(account, "instances", lambda: account.anew(change))
    hints.change_metadata(account, item, lambda items: tags.with_items(items, metadata))


def persistent_disks(item: Item) -> list[DiskCid]:
    """What was attached and stays when the VM goes."""
    own = [one for one in item.get("disks", []) if one.get("boot") or one.get("autoDelete") or one.get("type") == "SCRATCH"]
    return [DiskCid(naming.last(one["source"])) for one in item.get("disks", []) if one not in own]


def delete(account: Account, vm_cid: VmCid) -> None:
    """Take it out of its load balancers, delete it and wait until it is gone. One that is gone is success.

    The placement policy of its instance group goes with the last of its VMs.
    """
    try:
        item = inventory.describe(account, vm_cid)
    except errors.VmMissing:
        return
    balancing.leave(account, item)
    remove(account, naming.last(item["zone"]), str(vm_cid), wait=account.waits_for_deletion)
    placement.leave(account, item)


def remove(account: Account, zone: str, name: str, *, wait: bool = True) -> None:
    """Its own disks go with it, its persistent disks are detached, its addresses are free."""
    begin = account.client.do if wait else account.client.call
    try:
        account.anew(lambda: begin("instances.delete", zone=zone, instance=name))
    except errors.VmMissing:
        return


def _off(account: Account, vm_cid: VmCid) -> Item | None:
    item = inventory.describe_living(account, vm_cid)
    return item if item["status"] not in inventory.LEAVING else None
