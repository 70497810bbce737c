"""What can be wrong with an instance, and what can be done about it: as a director's cloud check has it."""

from enum import Enum
from typing import Final

import msgspec

from cpi.contract.ids import DiskCid


class Problem(Enum):
    """What is wrong."""

    MISSING_VM = "missing VM"
    UNRESPONSIVE_AGENT = "unresponsive agent"
    MISSING_DISK = "missing disk"
    INACTIVE_DISK = "inactive disk"
    """A disk at the VM that its instance does not name."""

    MOUNT_MISMATCH = "mount mismatch"
    """A disk that is mounted on none, on several, or on another VM."""


class Resolution(Enum):
    """What can be done."""

    IGNORE = "ignore"
    REBOOT_VM = "reboot_vm"
    RECREATE_VM = "recreate_vm"
    RECREATE_VM_WITHOUT_WAIT = "recreate_vm_without_wait"
    DELETE_VM = "delete_vm"
    DELETE_DISK_REFERENCE = "delete_disk_reference"
    """Unmount and detach what is left of the disk at the VM."""

    ORPHAN_DISK = "orphan_disk"
    """Detach it, and mark it as an orphan; its data is kept. Refused while it is mounted."""

    REATTACH_DISK = "reattach_disk"
    REATTACH_DISK_AND_REBOOT_VM = "reattach_disk_and_reboot_vm"


_OF_VM: Final = (Resolution.RECREATE_VM, Resolution.RECREATE_VM_WITHOUT_WAIT, Resolution.DELETE_VM)

RESOLUTIONS: Final = {
    Problem.MISSING_VM: (Resolution.IGNORE, *_OF_VM[:2]),
    Problem.UNRESPONSIVE_AGENT: (Resolution.IGNORE, Resolution.REBOOT_VM, *_OF_VM),
    Problem.MISSING_DISK: (Resolution.IGNORE, Resolution.DELETE_DISK_REFERENCE),
    Problem.INACTIVE_DISK: (Resolution.IGNORE, Resolution.ORPHAN_DISK),
    Problem.MOUNT_MISMATCH: (Resolution.IGNORE, Resolution.REATTACH_DISK, Resolution.REATTACH_DISK_AND_REBOOT_VM),
}
"""What is offered, the harmless first."""


class Found(msgspec.Struct, frozen=True):
    """One problem of one instance."""

    problem: Problem
    instance: str
    detail: str
    disk: DiskCid | None = None
    elsewhere: bool = False
    """Whether the disk is mounted on another VM."""

    beside: DiskCid | None = None
    """A disk that is mounted in its place, though the instance does not name it."""

    in_hand: str = ""
    """Which move has a disk of the instance in hand: nothing is done before it has ended."""

    @property
    def resolutions(self) -> tuple[Resolution, ...]:
        """What is offered."""
        return RESOLUTIONS[self.problem]

    @property
    def by_itself(self) -> Resolution:
        """What is done without asking: nothing that could cost data."""
        if self.in_hand:
            return Resolution.IGNORE
        if self.problem in {Problem.MISSING_VM, Problem.UNRESPONSIVE_AGENT}:
            return Resolution.RECREATE_VM
        if self.problem is Problem.MOUNT_MISMATCH and not self.elsewhere and self.beside is None:
            return Resolution.REATTACH_DISK
        return Resolution.IGNORE
