"""The segment ports of a VM's network cards. NSX makes them; here they get tags and a type."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cpi.contract.model import Metadata
from cpi.kit.tagging import Limits, fitted
from cpi.kit.waiting import wait_until
from cpi_drivers.vsphere.api.client import Reference, vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.errors import Refused
from cpi_drivers.vsphere.api.nsxt.naming import POLICY, Document, one_of
from cpi_drivers.vsphere.vms.nsxt.memory import remembered

if TYPE_CHECKING:
    from cpi_drivers.vsphere.api.nsxt.client import Nsx

_PATHS: Final = ("config.instanceUuid", "config.hardware.device", "config.extraConfig")
_SCOPE: Final = "bosh/"
_MOST_TAGS: Final = 30
_VIFS: Final = "/api/v1/fabric/vifs"
_MACHINES: Final = "/api/v1/fabric/virtual-machines"
_TAGGING: Final = f"{POLICY}/infra/realized-state/enforcement-points/default/virtual-machines"
_BACKING: Final = "config.backingType"


def set_type(site: Site, nsx: "Nsx", vm: Reference, kind: str) -> None:
    """PARENT, say: of all segment ports of a VM."""

    def change(port: Document) -> Document | None:
        attachment = port.get("attachment") or {}
        return None if attachment.get("type") == kind else {**port, "attachment": {**attachment, "type": kind}}

    for path in _of_vm(site, nsx, _look(site, vm)):
        nsx.changed(POLICY + path, change)


def tag(site: Site, vm: Reference, metadata: Metadata) -> None:
    """The metadata as tags of a VM's segment ports, where an NSX is configured, and of the VM itself where that is requested."""
    nsx = site.nsx
    if nsx is None:
        return
    told = {name: _value(name, value) for name, value in metadata.items() if value is not None}
    seen = _look(site, vm)
    for path in _of_vm(site, nsx, seen):
        nsx.changed(POLICY + path, lambda port: _tagged(port, told))
    joined = remembered(seen.get("config.extraConfig") or ())
    if nsx.settings.tag_nsx_vm_objects if joined is None else joined.tagged:
        _tag_machine(nsx, str(seen["config.instanceUuid"]), told)


def _look(site: Site, vm: Reference) -> Mapping[str, Any]:
    return site.client.read([vm], {vim.VirtualMachine: _PATHS})[vm]


def _of_vm(site: Site, nsx: "Nsx", seen: Mapping[str, Any]) -> list[str]:
    """Their paths, waited for: NSX learns of a card some seconds after the vCenter. None where no card is on a segment."""
    cards = [one for one in seen["config.hardware.device"] if isinstance(one, vim.vm.device.VirtualEthernetCard)]
    count, identity = _on_segments(site, cards), str(seen["config.instanceUuid"])
    if not count:
        return []

    def look() -> list[str] | None:
        attached = [str(vif["lport_attachment_id"]) for vif in nsx.pages(_VIFS, owner_vm_id=identity) if _is_attached(vif)]
        if len(attached) < count:
            return None
        found = {str(port["path"]) for port in nsx.search("SegmentPort", f"attachment.id:{one_of(attached)}")}
        return sorted(found) if len(found) >= len(attached) else None

    return wait_until(
        look,
        f"the {count} segment ports of the VM {identity} in NSX",
        deadline_seconds=nsx.settings.realization_timeout,
        first_pause_seconds=0.2,
        longest_pause_seconds=5.0,
    )


def _is_attached(vif: Document) -> bool:
    return bool(vif.get("lport_attachment_id"))


def _on_segments(site: Site, cards: Sequence[Any]) -> int:
    """How many cards are on networks of NSX."""
    kinds = vim.vm.device.VirtualEthernetCard
    opaque = [card for card in cards if isinstance(card.backing, kinds.OpaqueNetworkBackingInfo)]
    groups = [str(card.backing.port.portgroupKey) for card in cards if _is_distributed(card)]
    of_nsx = _made_by_nsx(site, set(groups))
    return len(opaque) + sum(group in of_nsx for group in groups)


def _is_distributed(card: Any) -> bool:
    return isinstance(card.backing, vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo)


def _made_by_nsx(site: Site, keys: Collection[str]) -> set[str]:
    """Those of the distributed port groups that NSX has made. A vCenter before 7.0 has none, and does not know the question."""
    if not keys:
        return set()
    references = [site.client.reference("DistributedVirtualPortgroup", key) for key in sorted(keys)]
    try:
        seen = site.client.read(references, {vim.dvs.DistributedVirtualPortgroup: ("key", _BACKING)})
    except Refused as error:
        if error.fault != "InvalidProperty":
            raise
        return set()
    return {str(one["key"]) for one in seen.values() if one.get(_BACKING) == "nsx"}


def _value(name: str, value: object) -> str:
    """As the official CPI has it: of the instance's id there is the SHA-1, which other software looks for."""
    return hashlib.sha1(str(value).encode(), usedforsecurity=False).hexdigest() if name == "id" else str(value)


def _tagged(thing: Document, told: Mapping[str, str]) -> Document | None:
    present = list(thing.get("tags") or ())
    wanted = _merged(present, told)
    return None if wanted == present else {**thing, "tags": wanted}


def _merged(present: Sequence[Mapping[str, Any]], told: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """Tags that are not ours stay; of ours, what is told now is in the place of what was told before."""
    ours = {str(one["scope"])[len(_SCOPE) :]: one for one in present if str(one.get("scope", "")).startswith(_SCOPE)}
    others = [one for one in present if not str(one.get("scope", "")).startswith(_SCOPE)]
    limits = Limits(key=128 - len(_SCOPE), value=256, number=_MOST_TAGS - len(others))
    new = fitted(told, limits, present={name: str(one.get("tag", "")) for name, one in ours.items()})
    kept = {name: one for name, one in ours.items() if name not in new}
    return [*others, *kept.values(), *({"scope": _SCOPE + name, "tag": value} for name, value in new.items())]


def _tag_machine(nsx: "Nsx", identity: str, told: Mapping[str, str]) -> None:
    machine = wait_until(
        lambda: next(nsx.pages(_MACHINES, external_id=identity), None),
        f"the VM {identity} in NSX",
        deadline_seconds=nsx.settings.realization_timeout,
        first_pause_seconds=0.2,
        longest_pause_seconds=5.0,
    )
    wanted = _tagged(machine, told)
    if wanted is not None:
        nsx.put_in_place(_TAGGING, {"virtual_machine_id": identity, "tags": wanted["tags"]}, action="update_tags")
