"""Disks attached to VMs and detached from them."""

from typing import Any

from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import DiskHint
from cpi_drivers.google import naming
from cpi_drivers.google.api import errors, inventory
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.disks import hints
from cpi_drivers.google.disks import lifecycle as disks

Item = dict[str, Any]


def attach(account: Account, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
    """The hint, once the guest can see the disk and the settings tell of it."""
    item = inventory.describe_living(account, vm_cid)
    if _device_of(item, disk_cid) is None:
        _attach(account, item, disk_cid)
    hints.keep_true(account, item, hints.with_disk(disk_cid))
    return hints.hint_of(disk_cid)


def detach(account: Account, vm_cid: VmCid, disk_cid: DiskCid) -> None:
    """Raises DiskNotAttached, DiskNotFound, VMNotFound."""
    item = inventory.describe_living(account, vm_cid)
    device = _device_of(item, disk_cid)
    if device is not None:
        _detach(account, item, device)
    hints.keep_true(account, item, hints.without_disk(disk_cid))
    if device is None:
        users = disks.describe(account, disk_cid).get("users", [])
        where = f"it is attached to {naming.last(users[0])}" if users else "it is attached to no VM"
        raise errors.NotAttached(f"the disk {disk_cid} is not attached to {vm_cid}: {where}")


def _attach(account: Account, item: Item, disk_cid: DiskCid) -> None:
    """The agent finds the disk by its device name, which is the CID."""
    if not naming.is_name(disk_cid):
        raise errors.DiskMissing(f"there is no disk {disk_cid}")
    zone = naming.last(item["zone"])
    body = {
        "source": f"projects/{account.project}/zones/{zone}/disks/{disk_cid}",
        "deviceName": str(disk_cid),
        "mode": "READ_WRITE",
        "autoDelete": False,
    }

    def attached() -> bool:
        try:
            account.client.do("instances.attachDisk", body, **inventory.place(item))
        except errors.DiskMissing as error:
            raise _elsewhere_or_missing(account, zone, disk_cid, error) from error
        except (errors.InUse, errors.NotReady) as error:
            return _attached_already(account, item, disk_cid, error)
        return True

    account.wait(attached, f"the disk {disk_cid} stays in use", account.patience.in_use)


def _attached_already(account: Account, item: Item, disk_cid: DiskCid, error: errors.Refused) -> bool:
    """Another call attached it here; or it is on its way, here or from elsewhere. Raises CloudError if another VM keeps it."""
    vm_cid = VmCid(item["name"])
    if _device_of(inventory.describe_living(account, vm_cid), disk_cid) is not None:
        return True
    holders = [VmCid(naming.last(user)) for user in disks.describe(account, disk_cid).get("users", [])]
    for holder in holders:
        if holder != vm_cid and inventory.is_alive(account, holder):
            raise errors.Refused(f"the disk {disk_cid} is attached to {holder}: detach it first") from error
    return False


def _elsewhere_or_missing(account: Account, zone: str, disk_cid: DiskCid, error: errors.Refused) -> errors.Refused:
    """A disk of another zone is not there for this VM, but it is not missing."""
    found = disks.find(account, [disk_cid])
    if not found:
        return errors.DiskMissing(f"there is no disk {disk_cid}")
    its = naming.last(found[0]["zone"])
    if its == zone:
        return errors.Refused(f"the disk {disk_cid} is listed, and cannot be attached yet: {error.message}; try again later")
    return errors.Refused(f"the disk {disk_cid} is in {its} and the VM in {zone}: {error.message}")


def _detach(account: Account, item: Item, device: str) -> None:
    try:
        account.do("instances.detachDisk", **inventory.place(item), deviceName=device)
    except errors.Refused as error:
        if error.code != "INVALID" or _still_there(account, item, device):
            raise


def _still_there(account: Account, item: Item, device: str) -> bool:
    present = inventory.describe_living(account, VmCid(item["name"]))
    return any(one.get("deviceName") == device for one in present.get("disks", []))


def _device_of(item: Item, disk_cid: DiskCid) -> str | None:
    for one in item.get("disks", []):
        if naming.last(one.get("source", "")) == disk_cid:
            device: str = one["deviceName"]
            return device
    return None
