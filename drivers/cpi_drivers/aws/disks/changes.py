"""Disks that change: in place where EBS can, attached or not; a detached one else through a snapshot."""

import datetime as dt
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CloudProperties
from cpi.contract.units import MiB, gib_from_mib
from cpi_drivers.aws.api import errors, inventory
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.disks import lifecycle as disks
from cpi_drivers.aws.disks.lifecycle import volume
from cpi_drivers.aws.disks.replacement import find_replacement, replace
from cpi_drivers.aws.properties import DiskProperties

Item = dict[str, Any]

# What EBS refuses to do with this disk at this time: the director copies instead.
_IMPOSSIBLE: Final = {
    "VolumeModificationRateExceeded": "EBS changes a disk four times in 24 hours at most, in some regions once in six",
    "IncorrectModificationState": "an earlier change of it is not finished",
    "VolumeModificationSizeLimitExceeded": "the account's limit for changing disks is reached",
    "UnsupportedOperation": "EBS cannot change this disk",
    "InvalidParameterValue": "EBS does not take these values",
    "InvalidParameterCombination": "EBS does not take these values together",
    "InvalidVolumeModification": "EBS cannot change this disk so",
}
# What passes by itself.
_PASSING: Final = frozenset({"VolumeModificationRateExceeded", "IncorrectModificationState"})
_WINDOW_HOURS: Final = 24
_TARGETS: Final = {"Size": "TargetSize", "VolumeType": "TargetVolumeType", "Iops": "TargetIops", "Throughput": "TargetThroughput"}


def resize(account: Account, disk_cid: DiskCid, size: MiB) -> None:
    """Grow; the same size in GiB changes nothing."""
    item = disks.describe(account, disk_cid)
    wanted = _checked_size(item, size)
    _refuse_attached(item)
    if wanted != item["Size"]:
        _modify(account, disk_cid, {"Size": wanted})


def grow_attached(account: Account, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
    """Grow it while the VM uses it; the same size in GiB changes nothing."""
    item = disks.describe(account, disk_cid)
    _check_holder(account, item, vm_cid)
    wanted = _checked_size(item, size)
    if wanted != item["Size"]:
        _modify(account, disk_cid, {"Size": wanted})


def change_attached(account: Account, vm_cid: VmCid, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> None:
    """Size, type, iops and throughput while the VM uses it; what needs another disk is NotSupported."""
    properties = disks.read_properties(account, cloud_properties)
    item = disks.describe(account, disk_cid)
    _check_holder(account, item, vm_cid)
    wanted = _checked_size(item, size)
    if _must_be_encrypted_anew(account, item, properties):
        raise contract_errors.NotSupported(f"EBS cannot encrypt {disk_cid} in place: copy it to a new disk")
    changes = _changes(item, properties, wanted)
    if changes:
        _modify(account, disk_cid, changes)


def update(account: Account, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
    """Size, type, iops and throughput in place; encryption by a replacement, whose CID is answered."""
    properties = disks.read_properties(account, cloud_properties)
    try:
        item = disks.describe(account, disk_cid)
    except errors.DiskMissing:
        found = find_replacement(account, disk_cid)
        if found is None:
            raise
        return found
    wanted = _checked_size(item, size)
    _refuse_attached(item)
    if _must_be_encrypted_anew(account, item, properties):
        keys = _whole(item, properties, wanted)
        kms_key = properties.kms_key_arn or account.settings.kms_key_arn
        return replace(account, item, {**keys, "Encrypted": True, **({"KmsKeyId": kms_key} if kms_key else {})}, properties)
    changes = _changes(item, properties, wanted)
    if changes:
        _modify(account, disk_cid, changes)
    return disk_cid


def _checked_size(item: Item, size: MiB) -> int:
    wanted = gib_from_mib(size)
    if wanted < item["Size"]:
        raise contract_errors.NotSupported(
            f"EBS cannot shrink {item['VolumeId']} from {item['Size']} GiB to {wanted} GiB: copy it to a new disk"
        )
    return wanted


def _refuse_attached(item: Item) -> None:
    holders = _holders(item)
    if holders:
        raise contract_errors.CloudError(f"the disk {item['VolumeId']} is attached to {holders[0]}: detach it first")


def _check_holder(account: Account, item: Item, vm_cid: VmCid) -> None:
    """The VM has it, alone: on a filesystem that grows, another VM would write over what it does not know of."""
    holders = _holders(item)
    if vm_cid not in holders:
        inventory.describe_living(account, vm_cid)
        raise errors.NotAttached(f"the disk {item['VolumeId']} is not attached to {vm_cid}")
    others = ", ".join(holder for holder in holders if holder != vm_cid)
    if others:
        raise contract_errors.NotSupported(
            f"the disk {item['VolumeId']} is shared: it is attached to {vm_cid} and to {others}; detach it from the others first"
        )


def _holders(item: Item) -> list[str]:
    return [str(one["InstanceId"]) for one in item.get("Attachments", []) if one.get("State") != "detached"]


def _must_be_encrypted_anew(account: Account, item: Item, properties: DiskProperties) -> bool:
    encrypted = account.settings.encrypted if properties.encrypted is None else properties.encrypted
    if properties.encrypted is False and item.get("Encrypted"):
        raise contract_errors.NotSupported(f"EBS cannot decrypt {item['VolumeId']}: copy it to a new disk")
    if not encrypted:
        return False
    key = properties.kms_key_arn if item.get("Encrypted") else None
    return not item.get("Encrypted") or bool(key and item.get("KmsKeyId") and key != item["KmsKeyId"])


def _whole(item: Item, properties: DiskProperties, size: int) -> Item:
    kind = properties.type or item["VolumeType"]
    same = kind == item["VolumeType"]
    iops = properties.iops or (item.get("Iops") if same and kind in ("gp3", "io1", "io2") else None)
    throughput = properties.throughput or (item.get("Throughput") if same else None)
    return {"Size": size, **volume(kind, iops, throughput, encrypted=False, kms_key=None)}


def _changes(item: Item, properties: DiskProperties, size: int) -> Item:
    """What differs. What the properties leave out stays as it is."""
    kind = properties.type or item["VolumeType"]
    requested = {"Size": size, "VolumeType": kind, "Iops": properties.iops, "Throughput": properties.throughput}
    return {
        key: value
        for key, value in requested.items()
        if value and value != item.get(key) and not _is_baseline(item, kind, key, value)
    }


def _is_baseline(item: Item, kind: str, key: str, value: object) -> bool:
    """gp3's free figures are what EBS gives unasked; it may leave them out of its answer."""
    return kind == "gp3" and key not in item and (key, value) in (("Iops", 3000), ("Throughput", 125))


def _modify(account: Account, disk_cid: DiskCid, changes: Item) -> None:
    try:
        account.client.call("ModifyVolume", VolumeId=str(disk_cid), **changes)
    except errors.Refused as error:
        if error.code not in _IMPOSSIBLE:
            raise
        last = _last_change(account, disk_cid)
        if not _is_under_way(last, changes):
            reason = f"{_IMPOSSIBLE[error.code]}{_told_of(last) if error.code in _PASSING else ''}"
            raise contract_errors.NotSupported(
                f"the disk {disk_cid} cannot be changed in place now: {reason}; {error.message}"
            ) from error
    account.wait(
        lambda: _is_changed(account, disk_cid, changes),
        f"the change of the disk {disk_cid} is not finished",
        account.patience.disk_changed,
    )


def _told_of(last: Item) -> str:
    """When the last change began and how far it is: what has to pass before the next one."""
    began = last.get("StartTime")
    if not isinstance(began, dt.datetime):
        return ""
    latest = began + dt.timedelta(hours=_WINDOW_HOURS)
    state = f"is {last.get('ModificationState')}, {last.get('Progress', 0)} % done"
    return (
        f"; the last change began at {began:%Y-%m-%d %H:%M} UTC and {state}; once it is complete another one is possible"
        f" at {latest:%Y-%m-%d %H:%M} UTC at the latest"
    )


def _is_under_way(last: Item, changes: Item) -> bool:
    """An earlier call, killed or without an answer, asked for the same."""
    alive = last.get("ModificationState") in ("modifying", "optimizing")
    return alive and all(last.get(_TARGETS[key]) == value for key, value in changes.items())


def _is_changed(account: Account, disk_cid: DiskCid, changes: Item) -> bool:
    """The new size and speed can be used from `optimizing` on. A look may tell of an earlier change: that of other values."""
    last = _last_change(account, disk_cid)
    if any(last.get(_TARGETS[key], value) != value for key, value in changes.items()):
        return False
    if last.get("ModificationState") == "failed":
        raise contract_errors.CloudError(f"EBS failed to change {disk_cid}: {last.get('StatusMessage') or 'no reason given'}")
    return last.get("ModificationState") in ("optimizing", "completed")


def _last_change(account: Account, disk_cid: DiskCid) -> Item:
    try:
        found = account.client.call("DescribeVolumesModifications", VolumeIds=[str(disk_cid)])["VolumesModifications"]
    except errors.Refused as error:
        if error.code != "InvalidVolumeModification.NotFound":
            raise
        return {}
    return max(found, key=lambda item: str(item.get("StartTime", "")), default={})
