"""Offerings: what sizes VMs and disks may have, and which one a request means."""

from collections.abc import Iterable
from typing import Any

from cpi.contract import errors
from cpi.contract.model import VmResources
from cpi.contract.units import MiB, gib_from_mib
from cpi_drivers.cloudstack.api.client import Client, Document
from cpi_drivers.cloudstack.api.inventory import Inventory
from cpi_drivers.cloudstack.properties import VmProperties
from cpi_drivers.cloudstack.settings import CloudStackSettings


class Offerings:
    """Compute and disk offerings."""

    def __init__(self, client: Client, settings: CloudStackSettings, inventory: Inventory) -> None:
        self._client = client
        self._settings = settings
        self._inventory = inventory

    def compute(self, wanted: VmProperties) -> dict[str, Any]:
        """The parameters by which a VM gets its cores and memory."""
        found = self._inventory.named("listServiceOfferings", "serviceoffering", wanted.compute_offering, "compute offering")
        given = {"serviceofferingid": found["id"]}
        if not found.get("iscustomized"):
            if wanted.cpu or wanted.ram:
                raise errors.CpiError(f"cpu and ram: the compute offering {found['name']!r} is not a customised one")
            return given
        if not (wanted.cpu and wanted.ram):
            raise errors.CpiError(f"cpu and ram: the compute offering {found['name']!r} is a customised one and needs them")
        return {**given, "details": [{"cpuNumber": wanted.cpu, "memory": wanted.ram, "cpuSpeed": wanted.cpu_speed}]}

    def ephemeral(self, wanted: VmProperties) -> dict[str, Any]:
        """The parameters by which a VM gets its ephemeral disk; none if it has none."""
        if not (wanted.disk or wanted.ephemeral_disk_offering):
            return {}
        offer = self._settings.default_offer
        return self._sized(wanted.ephemeral_disk_offering or offer.ephemeral_disk or offer.custom_disk, MiB(wanted.disk or 1))

    def persistent(self, name: str | None, size: MiB) -> dict[str, Any]:
        """The parameters by which a disk gets its size."""
        offer = self._settings.default_offer
        return self._sized(name or offer.disk or offer.custom_disk, size)

    def disk(self, name: str) -> Document:
        """A disk offering. Raises CloudError."""
        return self._inventory.named("listDiskOfferings", "diskoffering", name, "disk offering")

    def custom_disk(self) -> Document:
        """The one whose size is free."""
        return self.disk(self._settings.default_offer.custom_disk)

    def smallest(self, resources: VmResources) -> dict[str, Any]:
        """Cloud properties of the smallest VM that has resources. Raises NotSupported."""
        wanted, offer = self._settings.calculate_cloud_prop, self._settings.default_offer
        candidates = [
            one
            for one in self._client.pages("listServiceOfferings", "serviceoffering")
            if _tagged(one, wanted.service_tags, wanted.not_service_tags)
        ]
        fixed = [one for one in candidates if not one.get("iscustomized") and _holds(one, resources)]
        found: dict[str, Any]
        if fixed:
            best = min(fixed, key=lambda one: (one["memory"], one["cpunumber"], one["name"]))
            found = {"compute_offering": best["name"]}
        else:
            custom = next((one for one in candidates if one.get("iscustomized") and _may_be(one, resources)), None)
            if custom is None:
                raise errors.NotSupported(f"no compute offering has {resources.cpu} cores and {resources.ram} MiB")
            found = {"compute_offering": custom["name"], "cpu": resources.cpu, "ram": resources.ram}
        if not resources.ephemeral_disk_size:
            return found
        found["disk"] = resources.ephemeral_disk_size
        if wanted.disk_tags or wanted.not_disk_tags:
            found["ephemeral_disk_offering"] = self._disk_tagged(resources.ephemeral_disk_size)
        elif offer.ephemeral_disk:
            found["ephemeral_disk_offering"] = offer.ephemeral_disk
        return found

    def _disk_tagged(self, size: MiB) -> str:
        wanted = self._settings.calculate_cloud_prop
        fitting = [
            one
            for one in self._client.pages("listDiskOfferings", "diskoffering")
            if _tagged(one, wanted.disk_tags, wanted.not_disk_tags)
            and (one.get("iscustomized") or one["disksize"] >= gib_from_mib(size))
        ]
        if not fitting:
            raise errors.NotSupported(f"no disk offering has the requested tags and {size} MiB")
        return str(min(fitting, key=lambda one: (bool(one.get("iscustomized")), one["disksize"]))["name"])

    def _sized(self, name: str, size: MiB) -> dict[str, Any]:
        return sized(self.disk(name), size)


def sized(offering: Document, size: MiB) -> dict[str, Any]:
    """The parameters for a disk of at least size. Raises NoDiskSpace if the offering's is fixed and smaller."""
    gib = max(1, gib_from_mib(size))
    if offering.get("iscustomized"):
        return {"diskofferingid": offering["id"], "size": gib}
    if offering["disksize"] < gib:
        raise errors.NoDiskSpace(f"disks of the offering {offering['name']!r} have {offering['disksize']} GiB, not {gib} GiB")
    return {"diskofferingid": offering["id"]}


def _holds(offering: Document, resources: VmResources) -> bool:
    return bool(offering["cpunumber"] >= resources.cpu and offering["memory"] >= resources.ram)


def _may_be(offering: Document, resources: VmResources) -> bool:
    """A customised offering may have bounds."""
    details = offering.get("serviceofferingdetails") or {}
    most_cpu, most_ram = int(details.get("maxcpunumber", 256)), int(details.get("maxmemory", 1 << 20))
    return resources.cpu <= most_cpu and resources.ram <= most_ram


def _tagged(offering: Document, wanted: Iterable[str], unwanted: Iterable[str]) -> bool:
    said = ",".join(str(offering.get(key) or "") for key in ("storagetags", "hosttags", "tags"))
    has = {tag.strip() for tag in said.split(",")}
    return set(wanted) <= has and not set(unwanted) & has
