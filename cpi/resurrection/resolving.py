"""What is done about a problem that the cloud check found, save recreating a VM, which is durable work."""

import contextlib
import datetime as dt
from typing import Final

from cpi.agent import jobs
from cpi.agent.errors import AgentError
from cpi.agent.protocol import Agent
from cpi.agent.reaching import reached
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid
from cpi.resurrection.durable.history import Present
from cpi.resurrection.instance import Instance
from cpi.resurrection.problems import Found, Resolution

_GONE: Final = (errors.DiskNotAttached, errors.DiskNotFound, errors.VMNotFound)


def resolve(found: Found, resolution: Resolution, instance: Instance, present: Present, cloud: Cloud) -> str:
    """Do it; what was done, for people. Raises what the cloud or the agent raises."""
    with contextlib.ExitStack() as made:
        hands = _Hands(instance, present, cloud, made)
        ways = {
            Resolution.IGNORE: lambda _: "left as it is",
            Resolution.REBOOT_VM: lambda _: hands.reboot(),
            Resolution.DELETE_VM: lambda _: hands.delete(),
            Resolution.DELETE_DISK_REFERENCE: hands.forget,
            Resolution.ORPHAN_DISK: hands.orphan,
            Resolution.REATTACH_DISK: hands.reattach,
            Resolution.REATTACH_DISK_AND_REBOOT_VM: hands.reattach_and_reboot,
        }
        if found.in_hand and resolution is not Resolution.IGNORE:
            raise errors.CloudError(found.in_hand)
        if resolution not in ways or resolution not in found.resolutions:
            raise errors.CpiError(f"{resolution.value} is not an option for a {found.problem.value}")
        return ways[resolution](found.disk or DiskCid("none"))


class _Hands:
    """One instance's VM."""

    def __init__(self, instance: Instance, present: Present, cloud: Cloud, made: contextlib.ExitStack) -> None:
        self._instance = instance
        self._present = present
        self._cloud = cloud
        self._made = made

    def reboot(self) -> str:
        """Restart the VM, and wait for its agent."""
        self._cloud.reboot_vm(self._present.vm)
        self._agent().wait_until_ready()
        return f"the VM {self._present.vm} was rebooted, and its agent answers"

    def delete(self) -> str:
        """Remove the VM; its disks are kept."""
        with contextlib.suppress(errors.VMNotFound):
            self._cloud.delete_vm(self._present.vm)
        return f"the VM {self._present.vm} is deleted: recreate it, or remove {self._instance.name} from the file"

    def reattach_and_reboot(self, disk_cid: DiskCid) -> str:
        """The VM starts its jobs by itself."""
        self._mount(disk_cid)
        return self.reboot()

    def reattach(self, disk_cid: DiskCid) -> str:
        """Then the jobs are started, which cannot have run without their disk."""
        self._mount(disk_cid)
        if self._instance.spec is not None:
            jobs.start(self._agent())
        return f"the disk {disk_cid} is mounted"

    def _mount(self, disk_cid: DiskCid) -> None:
        """In a director's order; never beside a disk that the instance does not name, for that may be the one in use."""
        agent = self._agent()
        others = sorted(set(agent.list_disk()) - set(self._instance.disks))
        if others:
            raise errors.CloudError(f"{', '.join(others)} is mounted in its place: name it in the file, or unmount it first")
        hint = self._cloud.attach_disk(self._present.vm, disk_cid)
        with contextlib.suppress(errors.NotImplemented):
            self._cloud.set_disk_metadata(disk_cid, self._instance.metadata)
        agent.add_persistent_disk(disk_cid, hint)
        if disk_cid not in agent.list_disk():
            agent.mount_disk(disk_cid)

    def forget(self, disk_cid: DiskCid) -> str:
        """Take away what is left of a disk that is no more."""
        self._loosen(disk_cid)
        return f"nothing of the disk {disk_cid} is left at the VM; remove it from the file"

    def orphan(self, disk_cid: DiskCid) -> str:
        """Refused while it is mounted."""
        if disk_cid in self._agent().list_disk():
            raise errors.CloudError(f"the disk {disk_cid} is mounted: name it in the file, or unmount it first")
        self._loosen(disk_cid)
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        with contextlib.suppress(errors.NotImplemented):
            self._cloud.set_disk_metadata(disk_cid, {"orphaned_at": now, "orphaned_from": str(self._present.vm)})
        return f"the disk {disk_cid} is detached and kept"

    def _loosen(self, disk_cid: DiskCid) -> None:
        with contextlib.suppress(AgentError, errors.VMNotFound):
            agent = self._agent()
            if disk_cid in agent.list_disk():
                agent.unmount_disk(disk_cid)
            agent.remove_persistent_disk(disk_cid)
        with contextlib.suppress(*_GONE):
            self._cloud.detach_disk(self._present.vm, disk_cid)

    def _agent(self) -> Agent:
        reach = self._instance.reach(self._present.agent_id)
        return self._made.enter_context(reached(reach, self._cloud, self._present.vm, self._made))
