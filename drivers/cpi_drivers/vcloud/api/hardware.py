"""What a VM has: its disks, and what its guest can see of them. Pure."""

import copy
from typing import Final

from cpi.contract import errors
from cpi_drivers.vcloud.api import documents
from cpi_drivers.vcloud.api.documents import Element, make, within

POWERED_ON: Final = "4"
SUSPENDED: Final = "3"
_SETTINGS: Final = "VmSpecSection/DiskSection/DiskSettings"
_RESERVED_UNIT: Final = 7
_SHOWS_IDS: Final = "disk.enableuuid"


def is_deployed(entity: Element) -> bool:
    """Whether a vApp or VM has a place on a host."""
    return entity.get("deployed") == "true" or entity.get("status") in {POWERED_ON, SUSPENDED}


def disks(vm: Element) -> list[Element]:
    """All of them, in the order of their units."""
    if documents.one(vm, "VmSpecSection") is None:
        raise errors.CloudError(
            f"the VM {vm.get('name')} is listed without its hardware: this needs version 32 of the API or later"
        )
    return documents.every(vm, _SETTINGS)


def independent_disks(vm: Element) -> dict[str, Element]:
    """The settings of the disks that outlive the VM, by their addresses' paths."""
    found = {}
    for settings in disks(vm):
        disk = documents.one(settings, "Disk")
        if disk is not None:
            found[path_of(str(disk.get("href")))] = settings
    return found


def has_disc(vm: Element, href: str) -> bool:
    """Whether a media is in one of its drives."""
    images = documents.every(vm, "VmSpecSection/MediaSection/MediaSettings/MediaImage")
    return any(path_of(str(image.get("href"))) == path_of(href) for image in images)


def has_own_disk(vm: Element, unit: str) -> bool:
    """Whether it has a disk of its own at a unit."""
    return any(unit_of(settings) == unit and documents.one(settings, "Disk") is None for settings in disks(vm))


def path_of(href: str) -> str:
    """Without the host: it may be called by several names."""
    return href[href.index("/api/") :] if "/api/" in href else href


def unit_of(settings: Element) -> str:
    """The unit number on its bus."""
    return documents.text(settings, "UnitNumber")


def is_ambiguous(vm: Element, settings: Element) -> bool:
    """Whether a disk on another bus has the same unit: the agent would find either."""
    others = {documents.text(one, "BusNumber") for one in disks(vm) if unit_of(one) == unit_of(settings)}
    return len(others) > 1


def unique_unit(vm: Element) -> str:
    """A unit that no disk of the VM has, on any bus."""
    return _free({unit_of(settings) for settings in disks(vm)})


def shows_ids(vm: Element) -> bool:
    """Whether the guest sees the UUIDs of its disks."""
    hardware = documents.one(vm, "VirtualHardwareSection")
    extra = documents.every(hardware, "ExtraConfig") if hardware is not None else []
    told = {documents.attribute(one, "key").lower(): documents.attribute(one, "value").lower() for one in extra}
    return told.get(_SHOWS_IDS) == "true"


def resized(vm: Element, cpu: int | None, cores: int | None, ram: int | None, ephemeral_mib: int) -> tuple[Element, str]:
    """The section that gives a VM its size and its ephemeral disk, and that disk's unit; what is None stays."""
    present = disks(vm)
    section = copy.deepcopy(_section(vm))
    section.set("Modified", "true")
    for path, value in (("NumCpus", cpu), ("NumCoresPerSocket", cores), ("MemoryResourceMb/Configured", ram)):
        found = documents.one(section, path)
        if value is not None and found is not None:
            found.text = str(value)
    unit = ""
    if ephemeral_mib:
        unit = _free_unit(present)
        holder = documents.one(section, "DiskSection")
        if holder is not None:
            holder.append(_ephemeral(present[0] if present else None, ephemeral_mib, unit))
    return section, unit


def with_size(vm: Element, path: str, mib: int) -> Element:
    """The section that lets one of the VM's independent disks have this size; everything else is as it is."""
    section = copy.deepcopy(_section(vm))
    section.set("Modified", "true")
    for settings in documents.every(section, "DiskSection/DiskSettings"):
        disk, size = documents.one(settings, "Disk"), documents.one(settings, "SizeMb")
        if disk is not None and size is not None and path_of(str(disk.get("href"))) == path:
            size.text = str(mib)
    return section


def _section(vm: Element) -> Element:
    found = documents.one(vm, "VmSpecSection")
    if found is None:  # disks() has looked
        raise errors.CloudError(f"the VM {vm.get('name')} is listed without its hardware")
    return found


def _ephemeral(root: Element | None, mib: int, unit: str) -> Element:
    bus, adapter = (documents.text(root, "BusNumber"), documents.text(root, "AdapterType")) if root is not None else ("0", "3")
    pairs = {"SizeMb": str(mib), "UnitNumber": unit, "BusNumber": bus, "AdapterType": adapter, "ThinProvisioned": "true"}
    return make("DiskSettings", *within("DiskSettings", {**pairs, "overrideVmDefault": "false"}))


def _free_unit(present: list[Element]) -> str:
    bus = documents.text(present[0], "BusNumber") if present else "0"
    return _free({unit_of(settings) for settings in present if documents.text(settings, "BusNumber") == bus})


def _free(used: set[str]) -> str:
    return next(str(unit) for unit in range(64) if unit != _RESERVED_UNIT and str(unit) not in used)
