"""How a call to a cloud can fail: one vocabulary for every driver.

A driver's api/errors.py is the table from its cloud's codes to these classes. Its own classes extend them and add what the cloud
says: its code, its words, the id of the request. What BOSH has a word for is made here too, so that all say the same.
"""

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid


class Refused(errors.CloudError):
    """The cloud answered that it will not do it, or that it tried and failed."""


class Missing(Refused):
    """What was named does not exist."""


class Denied(Refused):
    """The credentials, or what they allow."""


class NoCapacity(Refused):
    """The cloud has none of it at the moment: another time, type or zone may do."""


class QuotaReached(Refused):
    """A limit of the account or the project: a repeat does not help before somebody raises it or makes room."""


class AddressTaken(Refused):
    """The address that was asked for is in use: a repeat would ask for the same."""


class Passing(errors.CloudError):
    """A failure that may pass: nothing was done, or it may be done twice."""

    def __init__(self, message: str, *, after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds
        """The cloud asks not to be called before."""


class Unreached(errors.CloudError):
    """No connection: nothing was done."""


class Throttled(errors.CloudError):
    """Too many calls: nothing was done."""


class AnswerLost(errors.CloudError):
    """A call went out and no usable answer came: it may have been done."""


def no_such_vm(vm_cid: VmCid | str) -> errors.VMNotFound:
    """No VM has the CID."""
    return errors.VMNotFound(f"the VM {vm_cid} does not exist")


def no_such_disk(disk_cid: DiskCid | str) -> errors.DiskNotFound:
    """No disk has the CID."""
    return errors.DiskNotFound(f"the disk {disk_cid} does not exist")


def not_attached(disk_cid: DiskCid | str, vm_cid: VmCid | str, but: str = "") -> errors.DiskNotAttached:
    """The disk is not attached to the VM; but: where it is instead."""
    return errors.DiskNotAttached(f"the disk {disk_cid} is not attached to the VM {vm_cid}" + (f", but {but}" if but else ""))


def cannot_shrink(disk_cid: DiskCid | str, present: int, wanted: int, unit: str = "MiB") -> errors.NotSupported:
    """The disk is larger than what is asked for; the caller copies its data."""
    return errors.NotSupported(f"the disk {disk_cid} has {present} {unit} and cannot shrink to {wanted} {unit}")
