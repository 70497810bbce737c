"""What a VM shall be, as the vCenter is told of it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cpi.contract import errors
from cpi_drivers.vsphere.api import devices
from cpi_drivers.vsphere.api.client import vim
from cpi_drivers.vsphere.api.inventory import Net
from cpi_drivers.vsphere.api.placement import Place
from cpi_drivers.vsphere.networks import requested
from cpi_drivers.vsphere.properties import VmProperties
from cpi_drivers.vsphere.settings import VCenter
from cpi_drivers.vsphere.vms import trust

_CONTROLLERS: Final = {
    "paravirtual": "ParaVirtualSCSIController",
    "lsi_logic": "VirtualLsiLogicController",
    "lsi_logic_sas": "VirtualLsiLogicSASController",
}
_GIB_IN_KIB = 1 << 20
_MIB_IN_KIB = 1 << 10


def clone(
    wanted_vm: VmProperties,
    vcenter: VCenter,
    place: Place,
    template: Mapping[str, Any],
    nets: Sequence[tuple[str, Net]],
    options: Mapping[str, str],
    policy: str | None = None,
) -> Any:
    """A clone of a stemcell: linked, unless its root disk is to be larger or encrypted."""
    whole = wanted_vm.is_whole
    location = vim.vm.RelocateSpec(
        datastore=place.store.reference,
        pool=place.pool,
        host=place.host.reference if place.host else None,
        diskMoveType="moveAllDiskBackingsAndDisallowSharing" if whole else "createNewChildDiskBacking",
    )
    config = _config(wanted_vm, vcenter, place, {**vcenter.vmx_options, **wanted_vm.vmx_options, **options})
    found = template["config.hardware.device"]
    if policy is not None:
        config.vmProfile = location.profile = devices.profiles(policy)
    config.deviceChange = [
        *requested.changes(nets, found),
        *_disks(wanted_vm, vcenter, place, found, policy),
        *_host_devices(wanted_vm),
    ]
    return vim.vm.CloneSpec(
        location=location,
        config=config,
        powerOn=False,
        template=False,
        snapshot=None if whole else template["snapshot.currentSnapshot"],
    )


def _config(wanted_vm: VmProperties, vcenter: VCenter, place: Place, options: Mapping[str, Any]) -> Any:
    config = vim.vm.ConfigSpec(
        numCPUs=wanted_vm.cpu,
        memoryMB=wanted_vm.ram,
        cpuHotAddEnabled=wanted_vm.cpu_hot_add_enabled,
        memoryHotAddEnabled=wanted_vm.memory_hot_add_enabled,
        nestedHVEnabled=wanted_vm.nested_hardware_virtualization,
        extraConfig=[vim.option.OptionValue(key=key, value=_option(value)) for key, value in options.items()],
    )
    if _or(wanted_vm.cpu_reserve_full_mhz, default=vcenter.cpu_reserve_full_mhz):
        config.cpuAllocation = vim.ResourceAllocationInfo(reservation=_clock(place) * wanted_vm.cpu)
    if wanted_vm.has_devices or _or(wanted_vm.memory_reservation_locked_to_max, default=vcenter.memory_reservation_locked_to_max):
        config.memoryReservationLockedToMax = True
    trust.boot(config, wanted_vm)
    return config


def _or(choice_of: bool | None, *, default: bool) -> bool:  # noqa: FBT001 - what a manifest says
    return default if choice_of is None else choice_of


def _clock(place: Place) -> int:
    hosts = [place.host] if place.host else place.cluster.hosts
    return min((host.clock_mhz for host in hosts), default=0)


def _option(value: Any) -> str:
    return ("TRUE" if value else "FALSE") if isinstance(value, bool) else str(value)


def _disks(wanted_vm: VmProperties, vcenter: VCenter, place: Place, template: Sequence[Any], policy: str | None) -> list[Any]:
    present = devices.controller_of(template)
    controller, changes = _controller(vcenter.default_scsi_controller_type, present)
    unit = devices.free_unit(template, present)
    kind = vcenter.default_disk_type
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
        fileName=f"[{place.store.name}]",
        datastore=place.store.reference,
        diskMode="persistent",
        thinProvisioned=kind == "thin",
        eagerlyScrub=kind == "eagerZeroedThick",
    )
    made = vim.vm.device.VirtualDisk(
        key=-1, controllerKey=controller.key, unitNumber=unit, capacityInKB=wanted_vm.disk * _MIB_IN_KIB, backing=backing
    )
    change = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=made)
    if policy is not None:
        change.profile = devices.profiles(policy)
    root = root_disk(template)
    changed = _enlarged(root, wanted_vm) or controller is not present
    root.controllerKey = controller.key
    edited = [vim.vm.device.VirtualDeviceSpec(operation="edit", device=root)] if changed else []
    return [*changes, *edited, change]


def _controller(choice_of: str | None, present: Any) -> tuple[Any, list[Any]]:
    """The controller of the disks, and the changes that put it in the place of the stemcell's, if it is another."""
    kind = getattr(vim.vm.device, _CONTROLLERS[choice_of]) if choice_of else type(present)
    if isinstance(present, kind):
        return present, []
    made = kind(key=-10, busNumber=present.busNumber, sharedBus="noSharing")
    removed = vim.vm.device.VirtualDeviceSpec(operation="remove", device=present)
    return made, [removed, vim.vm.device.VirtualDeviceSpec(operation="add", device=made)]


def _host_devices(wanted_vm: VmProperties) -> list[Any]:
    kind = vim.vm.device.VirtualPCIPassthrough
    numbers = [one.numbers for one in wanted_vm.pci_passthroughs]
    allowed = [kind.AllowedDevice(vendorId=vendor, deviceId=device) for vendor, device in numbers]
    backings = [kind.DynamicBackingInfo(deviceName="", allowedDevice=[one]) for one in allowed]
    backings += [kind.VmiopBackingInfo(vgpu=profile) for profile in wanted_vm.vgpus]
    made = [kind(key=-400 - index, backing=backing) for index, backing in enumerate(backings)]
    return [vim.vm.device.VirtualDeviceSpec(operation="add", device=device) for device in made]


def _enlarged(root: Any, wanted_vm: VmProperties) -> bool:
    if wanted_vm.root_disk_size_gb is None:
        return False
    wanted = wanted_vm.root_disk_size_gb * _GIB_IN_KIB
    if wanted < root.capacityInKB:
        raise errors.CpiError(
            f"root_disk_size_gb: {wanted_vm.root_disk_size_gb}; the stemcell's root disk has {root.capacityInKB >> 20} GiB"
        )
    root.capacityInKB, root.capacityInBytes = wanted, wanted << 10
    return True


def root_disk(found: Sequence[Any]) -> Any:
    """The first disk of a VM."""
    disks = devices.disks(found)
    if not disks:
        raise errors.CloudError("the stemcell has no disk")
    return min(disks, key=lambda disk: (disk.controllerKey, disk.unitNumber))


def units(found: Sequence[Any]) -> tuple[int, int]:
    """The units of the root and the ephemeral disk of a VM that has just been made."""
    disks = sorted(devices.disks(found), key=lambda disk: (disk.controllerKey, disk.unitNumber))
    if len(disks) < 2:  # noqa: PLR2004 - root and ephemeral
        raise errors.VMCreationFailed("the VM was made without its ephemeral disk", ok_to_retry=True)
    return disks[0].unitNumber, disks[1].unitNumber
