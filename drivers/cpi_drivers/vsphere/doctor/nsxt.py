"""What `cpi doctor` looks at in NSX: login, groups, server pools. Nothing is made."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from cpi.contract import errors
from cpi.contract.model import CloudProperties
from cpi.contract.operator import Finding
from cpi.kit.settings import read_cloud_properties
from cpi_drivers.vsphere.api.datacenters import Sites
from cpi_drivers.vsphere.api.nsxt.naming import POLICY, named
from cpi_drivers.vsphere.nsxt_settings import VmNsxt

if TYPE_CHECKING:
    from cpi_drivers.vsphere.api.nsxt.client import Nsx

_LISTS: Final = {"groups": f"{POLICY}/infra/domains/default/groups", "server pools": f"{POLICY}/infra/lb-pools"}


def examine(sites: Sites) -> Iterator[Finding]:
    """Each NSX manager of the configuration."""
    for nsx in _managers(sites):
        try:
            counts = {what: nsx.get(path, page_size="1").get("result_count", 0) for what, path in _LISTS.items()}
        except errors.Error as error:
            yield Finding("NSX-T", "fault", error.message)
        else:
            told = " and ".join(f"{count} {what}" for what, count in counts.items())
            yield Finding("NSX-T", "good", f"{_who(nsx)} is let in to {nsx.url}, which has {told}")


def examine_vm_type(sites: Sites, vm_type: CloudProperties) -> Iterator[Finding]:
    """Whether there is what it names."""
    requested: Any = vm_type.get("nsxt") or {}
    try:
        asked = read_cloud_properties(VmNsxt, requested, "cloud_properties.nsxt")
    except errors.CpiError as error:
        yield Finding("nsxt", "fault", error.message)
        return
    names = {"Group": asked.ns_groups, "LBPool": tuple(pool.name for pool in asked.lb.server_pools)}
    for nsx in _managers(sites) if any(names.values()) else ():
        yield _named(nsx, "groups", "Group", names["Group"])
        yield _named(nsx, "server pools", "LBPool", names["LBPool"])


def _named(nsx: "Nsx", what: str, kind: str, names: tuple[str, ...]) -> Finding:
    try:
        found = named(nsx, kind, what, names)
    except errors.Error as error:
        return Finding(f"nsxt {what}", "fault", error.message)
    return Finding(f"nsxt {what}", "good", ", ".join(f"{name} is {one['path']}" for name, one in found.items()) or "none named")


def _managers(sites: Sites) -> "list[Nsx]":
    return list({id(site.nsx): site.nsx for site in sites if site.nsx is not None}.values())


def _who(nsx: "Nsx") -> str:
    return "the certificate" if nsx.settings.has_certificate else str(nsx.settings.username)
