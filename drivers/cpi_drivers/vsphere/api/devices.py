"""What a VM has: its controllers and disks, and which of them are persistent."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from cpi.contract import errors
from cpi_drivers.vsphere import naming
from cpi_drivers.vsphere.api.client import Client, Reference, vim

PATHS: Final = (
    "name",
    "config.hardware.device",
    "config.vAppConfig.property",
    "config.flags.diskUuidEnabled",
    "config.files.vmPathName",
    "runtime.powerState",
    "runtime.connectionState",
    "runtime.host",
)
CATEGORY: Final = "BOSH Persistent Disk"
_RESERVED_UNIT: Final = 7
_FIRST_DISK_KEY: Final = 2000
_ENDING: Final = ".vmdk"


class Attached(msgspec.Struct, frozen=True):
    """A persistent disk on a VM."""

    cid: str
    device: Any
    path: str
    """Where its VMDK is now."""

    home: str
    """Where it was when it was attached: Storage vMotion moves what is attached."""

    property_key: int | None
    """The key of the VM's property that remembers it."""


def look(client: Client, vm: Reference, *more: str) -> Mapping[str, Any]:
    """What a VM is and has. Raises CloudError if the vCenter does not know it."""
    return known(client.read([vm], {vim.VirtualMachine: (*PATHS, *more)})[vm])


def known(seen: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was read of a VM. Raises CloudError without its hardware: no disk can then be said to be on it, or not to be."""
    if "config.hardware.device" not in seen:
        state = seen.get("runtime.connectionState", "unknown")
        raise errors.CloudError(
            f"the vCenter does not know the hardware of the VM {seen.get('name', '')} (its connection state is {state}), so "
            "which disks are on it cannot be known: nothing was done. It is being made, or its host or datastore is out of reach"
        )
    return seen


def disks(devices: Iterable[Any]) -> list[Any]:
    """Disks of any kind."""
    return [device for device in devices if isinstance(device, vim.vm.device.VirtualDisk)]


def path_of(disk: Any) -> str:
    """`[datastore] folder/name.vmdk`."""
    return str(getattr(disk.backing, "fileName", "") or "")


def persistent(seen: Mapping[str, Any], folder: str) -> list[Attached]:
    """The persistent disks: First Class Disks, those that the VM remembers, and those that lie where persistent disks lie."""
    remembered = {item.key: item for item in seen.get("config.vAppConfig.property") or () if item.category == CATEGORY}
    found = []
    for device in disks(seen.get("config.hardware.device", ())):
        item = remembered.get(_FIRST_DISK_KEY + device.unitNumber) or remembered.get(device.key)
        path = path_of(device)
        if item is not None and (device.vDiskId is None or item.value == path):  # what a First Class Disk covers is left over
            found.append(Attached(item.label or item.id, device, path, item.value or path, item.key))
        elif _is_persistent(device, path, folder):
            found.append(Attached(path.rpartition("/")[2].removesuffix(_ENDING), device, path, path, None))
        elif device.vDiskId is not None:
            found.append(Attached(naming.fcd_cid(device.vDiskId.id), device, path, path, None))
    return found


def _is_persistent(device: Any, path: str, folder: str) -> bool:
    inside = path.partition("] ")[2].rpartition("/")[0]
    if device.vDiskId is not None and path.rpartition("/")[2].startswith(naming.FCD_FILE):
        return False
    return inside == folder.strip("/") and getattr(device.backing, "diskMode", "") == "independent_persistent"


def controller_of(devices: Sequence[Any]) -> Any:
    """The SCSI controller that disks are put on: that of the root disk."""
    found = [device for device in devices if isinstance(device, vim.vm.device.VirtualSCSIController)]
    if not found:
        raise errors.CloudError("the VM has no SCSI controller")
    return min(found, key=lambda controller: controller.busNumber)


def free_unit(devices: Sequence[Any], controller: Any, taken: Iterable[int] = ()) -> int:
    """The lowest unit number that nothing has on the controller. Raises CloudError if all are taken."""
    most = 64 if isinstance(controller, vim.vm.device.ParaVirtualSCSIController) else 16
    used = {device.unitNumber for device in devices if device.controllerKey == controller.key} | {_RESERVED_UNIT, *taken}
    free = next((unit for unit in range(most) if unit not in used), None)
    if free is None:
        raise errors.CloudError(f"the VM has no place for another disk: all {most - 1} units of its SCSI controller are taken")
    return free


def existing_disk(path: str, store: Any, controller: Any, unit: int, policy: str | None) -> Any:
    """The change that attaches a VMDK; snapshots leave it alone."""
    disk = vim.vm.device.VirtualDisk(
        key=-100 - unit,
        controllerKey=controller.key,
        unitNumber=unit,
        capacityInKB=0,
        backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=path, datastore=store, diskMode="independent_persistent"),
    )
    return vim.vm.device.VirtualDeviceSpec(operation="add", device=disk, profile=profiles(policy))


def profiles(policy: str | None) -> list[Any]:
    """A storage policy by its id, as the vCenter is told of it."""
    return [vim.vm.DefinedProfileSpec(profileId=policy)] if policy else []


def removal(device: Any, *, destroyed: bool = False) -> Any:
    """The change that takes a device away; its files stay unless they are to be destroyed."""
    return vim.vm.device.VirtualDeviceSpec(operation="remove", device=device, fileOperation="destroy" if destroyed else None)


def memory_of(cid: str, name: str, path: str, unit: int, seen: Mapping[str, Any]) -> Any:
    """The property by which the VM remembers a disk, as the official CPI has it; what another disk left there is overwritten."""
    info = vim.vApp.PropertyInfo(
        key=_FIRST_DISK_KEY + unit,
        id=name,
        label=cid,
        category=CATEGORY,
        type="string",
        value=path,
        userConfigurable=True,
        description="Used by BOSH to find persistent disks again: do not remove",
    )
    left = {item.key for item in seen.get("config.vAppConfig.property") or ()}
    return vim.vApp.PropertySpec(operation="edit" if info.key in left else "add", info=info)


def forgetting(key: int) -> Any:
    """The change that removes such a property."""
    return vim.vApp.PropertySpec(operation="remove", removeKey=key)
