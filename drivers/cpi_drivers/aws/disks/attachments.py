"""Disks attached to VMs and detached from them."""

import logging
import re
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import DiskHint
from cpi_drivers.aws import tags
from cpi_drivers.aws.api import errors, inventory
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.disks import lifecycle as disks

_log = logging.getLogger(__name__)

Item = dict[str, Any]

_LETTERS: Final = "fghijklmnop"
_MORE_LETTERS: Final = "qrstuvwxyz"  # Nitro takes them, and the hint there names the disk, not the letter
_BY_ID: Final = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"


def attach(account: Account, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
    """The hint, once the guest can see the disk."""
    item = inventory.describe_living(account, vm_cid)
    nvme = account.facts.vm_type(item["InstanceType"]).nvme
    device = _device_of(item, disk_cid)
    if device is None:
        device = account.wait(
            lambda: _attached_as(account, vm_cid, disk_cid, nvme=nvme, known=item),
            f"the disk {disk_cid} stays in use",
            account.patience.disk_attached,
        )
    _wait_until_attached(account, vm_cid, disk_cid)
    return DiskHint(device=f"{_BY_ID}{disk_cid.replace('-', '')}" if nvme else device)


def detach(account: Account, vm_cid: VmCid, disk_cid: DiskCid) -> None:
    """Raises DiskNotAttached, DiskNotFound, VMNotFound."""
    what = f"the disk {disk_cid} is not detached from {vm_cid}"
    account.wait(lambda: _is_leaving(account, vm_cid, disk_cid), what, account.patience.disk_detached)
    account.wait(lambda: _is_free(account, disk_cid), what, account.patience.disk_detached)


def _is_leaving(account: Account, vm_cid: VmCid, disk_cid: DiskCid) -> bool:
    """False if it must be asked again: it is only just being attached."""
    try:
        account.client.call("DetachVolume", InstanceId=str(vm_cid), VolumeId=str(disk_cid))
    except errors.NotAttached as error:
        if not error.after_lost_answer:
            raise
    except errors.Refused as error:
        if error.code != "IncorrectState":
            raise
        return _is_detaching(account, vm_cid, disk_cid, error)
    return True


def _attached_as(account: Account, vm_cid: VmCid, disk_cid: DiskCid, *, nvme: bool, known: Item) -> str | None:
    """The device; None if the disk, the VM or a letter must be waited for."""
    letters = _LETTERS + (_MORE_LETTERS if nvme else "")
    taken = _letters_taken(known)
    for letter in (letter for letter in letters if letter not in taken):
        try:
            account.client.call("AttachVolume", InstanceId=str(vm_cid), VolumeId=str(disk_cid), Device=f"/dev/sd{letter}")
        except errors.Refused as error:
            if _is_letter_taken(error):
                _log.info("another process took /dev/sd%s of %s, trying the next", letter, vm_cid)
                continue
            if error.code not in ("VolumeInUse", "IncorrectState", "IncorrectInstanceState"):
                raise
            return _attached_already(account, vm_cid, disk_cid, error)
        return f"/dev/sd{letter}"
    raise contract_errors.CloudError(f"all {len(letters)} device names for disks of {vm_cid} are taken")


def _attached_already(account: Account, vm_cid: VmCid, disk_cid: DiskCid, error: errors.Refused) -> str | None:
    """Another process, or an attempt without an answer, attached it here; or it is on its way from elsewhere."""
    for attachment in disks.describe(account, disk_cid).get("Attachments", []):
        if attachment["InstanceId"] == vm_cid and attachment.get("State") in ("attached", "attaching", "busy"):
            device: str = attachment["Device"]
            return device
    disks.raise_unless_leaving(account, disk_cid, error)
    inventory.describe_living(account, vm_cid)
    return None


def _wait_until_attached(account: Account, vm_cid: VmCid, disk_cid: DiskCid) -> None:
    def attached() -> Item | None:
        item = disks.describe(account, disk_cid)
        here = [one for one in item.get("Attachments", []) if one["InstanceId"] == vm_cid]
        return item if here and here[0].get("State") in ("attached", "busy") else None

    item = account.wait(attached, f"the disk {disk_cid} is not attached to {vm_cid}", account.patience.disk_attached)
    if tags.REPLACED_BY in tags.from_pairs(item.get("Tags")):
        # From here on the disk may be written to: the copy that a killed update_disk began is no longer its copy.
        account.client.call("DeleteTags", Resources=[str(disk_cid)], Tags=[{"Key": tags.REPLACED_BY}])


def _device_of(item: Item, disk_cid: DiskCid) -> str | None:
    for mapping in item.get("BlockDeviceMappings", []):
        if mapping.get("Ebs", {}).get("VolumeId") == disk_cid and mapping["Ebs"].get("Status") != "detaching":
            device: str = mapping["DeviceName"]
            return device
    return None


def _letters_taken(item: Item) -> set[str]:
    names = [mapping.get("DeviceName", "") for mapping in item.get("BlockDeviceMappings", [])]
    return {match[1] for name in names if (match := re.fullmatch(r"/dev/(?:sd|xvd)([a-z])\d*", name))}


def _is_letter_taken(error: errors.Refused) -> bool:
    return error.code == "InvalidParameterValue" and "already in use" in error.message


def _is_detaching(account: Account, vm_cid: VmCid, disk_cid: DiskCid, error: errors.Refused) -> bool:
    """EC2 has one code for a disk that is not attached, one that is being attached and one that is being detached."""
    attachments = disks.describe(account, disk_cid).get("Attachments", [])
    holders = {one["InstanceId"]: one.get("State") for one in attachments if one.get("State") != "detached"}
    if vm_cid in holders:
        return holders[vm_cid] not in ("attached", "attaching", "busy")
    if not holders and error.after_lost_answer:
        return True
    inventory.describe_living(account, vm_cid)
    where = f"it is attached to {next(iter(holders))}" if holders else "it is attached to no VM"
    raise errors.NotAttached(f"the disk {disk_cid} is not attached to {vm_cid}: {where}") from error


def _is_free(account: Account, disk_cid: DiskCid) -> bool:
    try:
        return bool(disks.describe(account, disk_cid)["State"] == "available")
    except errors.DiskMissing:
        return True
