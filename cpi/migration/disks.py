"""Giving a VM a disk and taking one away: the cloud and the agent told in BOSH's order, each only what is not true yet."""

import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from cpi.agent.errors import AgentError
from cpi.agent.protocol import Agent
from cpi.agent.shell import Shell
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, VmCid
from cpi.migration.guest import Guest
from cpi.migration.report import Progress

if TYPE_CHECKING:
    from cpi.migration.between.far import FarSite

T = TypeVar("T")


class VmGone(errors.VMNotFound):
    """The VM of a move was lost on the way: what is to be done in it cannot be done any more."""


class Site:
    """One VM as the two see it that have to agree about its disks: its cloud and its agent."""

    def __init__(self, cloud: Cloud, agent: Agent, vm_cid: VmCid, shell: Shell | None = None) -> None:
        self.cloud = cloud
        self.agent = agent
        self.vm_cid = vm_cid
        self.shell = shell
        self.listener: Callable[[Progress], None] = _nobody

    jobs_are_down = False
    """Whether this process has stopped them: what another one did it may have undone, and been unable to write that down."""

    far: "FarSite | None" = None
    """The other side, in a move between clouds."""

    def is_gone(self) -> bool:
        """Whether the cloud knows the VM no more; what cannot be told is taken to mean that it is there."""
        try:
            return not self.cloud.has_vm(self.vm_cid)
        except errors.Error:
            return False

    def telling_its_loss(self, call: Callable[[], T]) -> T:
        """What call answers. Raises VmGone in the place of what the agent, or the guest, says of a VM that is gone."""
        try:
            return call()
        except (AgentError, errors.VMNotFound) as error:
            if isinstance(error, VmGone) or not self.is_gone():
                raise
            raise VmGone(f"the VM {self.vm_cid} is gone: {error.message}") from error

    def unless_gone(self, call: Callable[[], None]) -> None:
        """For what is true by itself of a VM that is gone."""
        with contextlib.suppress(VmGone):
            self.telling_its_loss(call)

    def guest(self, move_id: str) -> Guest:
        """The VM's inside, for one move. Raises CloudError without a shell."""
        if self.shell is None:
            raise errors.CloudError(f"there is no shell in the guest of {self.vm_cid}")
        return Guest(self.shell, move_id)

    def leave_guest(self) -> None:
        """Let go of a shell that this site has opened by itself."""

    def tell(self, progress: Progress) -> None:
        """Pass on how far a step is."""
        self.listener(progress)

    def attach(self, disk_cid: DiskCid, tags: Mapping[str, Any]) -> None:
        """Make the agent have the disk mounted: as the store, or beside the disk that is the store."""
        hint = self.cloud.attach_disk(self.vm_cid, disk_cid)
        self.agent.wait_until_ready()
        self.agent.add_persistent_disk(disk_cid, hint)
        self.tag(disk_cid, tags)
        if disk_cid not in self.agent.list_disk():
            self.agent.mount_disk(disk_cid)

    def detach(self, disk_cid: DiskCid) -> None:
        """Make the disk free of the VM; one that is gone is free."""
        if disk_cid in self.agent.list_disk():
            self.agent.unmount_disk(disk_cid)
        self.agent.remove_persistent_disk(disk_cid)
        if self.is_attached(disk_cid):
            with contextlib.suppress(errors.DiskNotAttached, errors.DiskNotFound):
                self.cloud.detach_disk(self.vm_cid, disk_cid)

    def remount(self, disk_cid: DiskCid) -> None:
        """Make the disk the store, writable: a copy that failed leaves it read-only, and the agent remembering the other one."""
        if disk_cid in self.agent.list_disk():
            self.agent.unmount_disk(disk_cid)
        self.agent.mount_disk(disk_cid)

    def is_attached(self, disk_cid: DiskCid) -> bool:
        """Whether the cloud says so; a CPI that cannot tell is taken to mean yes."""
        try:
            return disk_cid in self.cloud.get_disks(self.vm_cid)
        except errors.NotImplemented:
            return True

    def tag(self, disk_cid: DiskCid, tags: Mapping[str, Any]) -> None:
        """Put tags on a disk, where the cloud has any."""
        with contextlib.suppress(errors.NotImplemented):
            self.cloud.set_disk_metadata(disk_cid, tags)


def _nobody(progress: Progress) -> None:
    """Nobody listens."""
