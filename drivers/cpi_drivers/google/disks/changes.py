"""Disks that change: in place where Google can, attached or not; a detached one else through a snapshot."""

from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CloudProperties
from cpi.contract.units import MiB, gib_from_mib
from cpi_drivers.google import naming
from cpi_drivers.google.api import errors, inventory
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.disks import lifecycle as disks
from cpi_drivers.google.disks import replacement
from cpi_drivers.google.properties import DiskProperties

Item = dict[str, Any]

_REFUSED: Final = 400
_IMPOSSIBLE: Final = frozenset({"INVALID", "UNSUPPORTED_OPERATION"})


def resize(account: Account, disk_cid: DiskCid, size: MiB) -> None:
    """Grow; the same size in GiB changes nothing."""
    item = disks.describe(account, disk_cid)
    wanted = _checked_size(item, size)
    _refuse_attached(item)
    if wanted != int(item["sizeGb"]):
        _grow(account, item, wanted)


def grow_attached(account: Account, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
    """Grow it while the VM uses it; the same size in GiB changes nothing."""
    item = disks.describe(account, disk_cid)
    _check_holder(account, item, vm_cid)
    _grow_attached(account, item, _checked_size(item, size))


def change_attached(account: Account, vm_cid: VmCid, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> None:
    """Size and speed while the VM uses it; what needs another disk is NotSupported."""
    properties = disks.read_properties(account, cloud_properties)
    item = disks.describe(account, disk_cid)
    _check_holder(account, item, vm_cid)
    wanted = _checked_size(item, size)
    for name, wished in (("zone", properties.zone), ("type", properties.type)):
        if wished not in (None, naming.last(item[name])):
            raise contract_errors.NotSupported(
                f"the disk {disk_cid} has the {name} {naming.last(item[name])} and cannot change it to {wished} in place"
            )
    _speed_up(account, item, properties)
    _grow_attached(account, item, wanted)


def update(account: Account, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
    """Size and speed in place; the type by a replacement, whose CID is answered."""
    properties = disks.read_properties(account, cloud_properties)
    try:
        item = disks.describe(account, disk_cid)
    except errors.DiskMissing:
        found = replacement.find(account, disk_cid)
        if found is None:
            raise
        return found
    wanted = _checked_size(item, size)
    _refuse_attached(item)
    zone, here = naming.last(item["zone"]), naming.last(item["type"])
    if properties.zone not in (None, zone):
        raise contract_errors.NotSupported(
            f"the disk {disk_cid} is in {zone} and is requested in {properties.zone}: copy it to a new disk"
        )
    if properties.type not in (None, here):
        kept = {"sizeGb": str(wanted), **disks.kind(account, zone, str(properties.type), properties)}
        return replacement.replace(account, item, kept, properties)
    _speed_up(account, item, properties)
    if wanted != int(item["sizeGb"]):
        _grow(account, item, wanted)
    return disk_cid


def _checked_size(item: Item, size: MiB) -> int:
    wanted = gib_from_mib(size)
    if wanted < int(item["sizeGb"]):
        raise contract_errors.NotSupported(
            f"Google cannot shrink {item['name']} from {item['sizeGb']} GiB to {wanted} GiB: copy it to a new disk"
        )
    return wanted


def _refuse_attached(item: Item) -> None:
    users = _users(item)
    if users:
        raise contract_errors.CloudError(f"the disk {item['name']} is attached to {users[0]}: detach it first")


def _check_holder(account: Account, item: Item, vm_cid: VmCid) -> None:
    """The VM has it, alone: on a filesystem that grows, another VM would write over what it does not know of."""
    users = _users(item)
    if vm_cid not in users:
        inventory.describe_living(account, vm_cid)
        raise errors.NotAttached(f"the disk {item['name']} is not attached to {vm_cid}")
    others = ", ".join(user for user in users if user != vm_cid)
    if others:
        raise contract_errors.NotSupported(
            f"the disk {item['name']} is shared: it is attached to {vm_cid} and to {others}; detach it from the others first"
        )


def _users(item: Item) -> list[str]:
    return [naming.last(user) for user in item.get("users", [])]


def _grow_attached(account: Account, item: Item, size: int) -> None:
    if size == int(item["sizeGb"]):
        return
    try:
        _grow(account, item, size)
    except errors.Refused as error:
        if error.code not in _IMPOSSIBLE:
            raise
        raise contract_errors.NotSupported(
            f"the disk {item['name']} of type {naming.last(item['type'])} cannot grow to {size} GiB in place: {error.message}"
        ) from error


def _grow(account: Account, item: Item, size: int) -> None:
    try:
        _change(account, item, "disks.resize", {"sizeGb": str(size)})
    except errors.QuotaReached as error:
        raise errors.NoRoom(error.message) from error


def _speed_up(account: Account, item: Item, properties: DiskProperties) -> None:
    """iops and throughput that are not as wished. What the properties leave out stays as it is."""
    wished = {"provisionedIops": properties.iops, "provisionedThroughput": properties.throughput}
    changes = {key: str(value) for key, value in wished.items() if value and str(value) != item.get(key)}
    if not changes:
        return
    try:
        _change(account, item, "disks.update", changes, paths=",".join(changes))
    except errors.Refused as error:
        if error.code not in _IMPOSSIBLE:
            raise
        raise contract_errors.NotSupported(f"the disk {item['name']} cannot be changed in place: {error.message}") from error


def _change(account: Account, item: Item, method: str, wished: Item, **further: str) -> None:
    """Have it as wished. Google refuses what an earlier call has done since the disk was looked at: it counts as it is now."""
    try:
        account.do(method, wished, zone=naming.last(item["zone"]), disk=item["name"], **further)
    except errors.Refused as error:
        if error.status != _REFUSED:
            raise
        present = disks.describe(account, DiskCid(item["name"]))
        if any(present.get(key) != value for key, value in wished.items()):
            raise
