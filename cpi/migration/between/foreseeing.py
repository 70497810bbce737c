"""What changes with the cloud, said before a move between clouds is made."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.model import Network
from cpi.contract.operator import ShowsDiskTags
from cpi.contract.units import mib_from_bytes
from cpi.kit.secret_references import resolved
from cpi.migration.between.destination import Destination
from cpi.migration.disks import Site
from cpi.migration.plan import Facts, Order

_DEFAULT_FILESYSTEM: Final = "ext4"
_OURS: Final = frozenset({"move_id", "replaced_by", "orphaned_at", "orphaned_from"})


class Change(msgspec.Struct, frozen=True):
    """One thing that is another on the other cloud."""

    what: str
    now: str
    then: str
    advice: str = ""
    """What has to be done about it by hand; empty if nothing."""


def changes(order: Order, to: Destination, site: Site, facts: Facts) -> tuple[Change, ...]:
    """All that can be said beforehand. Raises what the clouds and the agent raise."""
    if site.far is None:
        raise errors.CpiError("the other cloud is not known")
    there = site.far.cloud
    return (
        Change("cloud", site.cloud.name, there.name),
        Change(
            "VM", str(order.vm_cid), f"a new one, from the stemcell {to.stemcell}", "instances files name the new VM and disk"
        ),
        _addresses(to, site.agent.get_state(full=True).document),
        Change("DNS", "names of the old VM", "not changed by the move", "point them to the new VM once its jobs run"),
        _size(order, site),
        Change("filesystem", _filesystem(facts), _new_filesystem(to)),
        Change("cloud properties of the disk", _shown(order.old_cloud_properties), _shown(order.cloud_properties)),
        _metadata(order, site, keeps=Capability.DISK_METADATA in there.capabilities),
        Change("snapshots", "those of the old disk", "stay with the old disk"),
    )


def _addresses(to: Destination, document: Mapping[str, Any]) -> Change:
    networks = document.get("networks")
    now = _listed(_addresses_in(networks)) if isinstance(networks, Mapping) else ""
    told = {name: Network.from_document(resolved(network)) for name, network in to.networks.items()}
    then = _listed(f"{network.ip or 'given by the cloud'} ({name})" for name, network in told.items())
    advice = "whatever names the old address (clients, peers, firewalls, certificates) needs the new one"
    return Change("addresses", now or "not reported by the agent", then, advice)


def _addresses_in(networks: Mapping[str, Any]) -> Iterator[str]:
    for name, network in networks.items():
        if isinstance(network, Mapping) and network.get("ip"):
            yield f"{network['ip']} ({name})"


def _size(order: Order, site: Site) -> Change:
    guest = site.guest(order.move_id)
    extent = guest.extent(guest.store)
    seen = f"{mib_from_bytes(extent.disk)} MiB" if extent is not None else "a folder of its host"
    return Change("size of the disk", seen, f"{order.size} MiB, or what the cloud rounds that up to")


def _filesystem(facts: Facts) -> str:
    return {"ext": "ext4", "": "unknown"}.get(facts.filesystem, facts.filesystem)


def _new_filesystem(to: Destination) -> str:
    bosh = to.env.get("bosh")
    told = bosh.get("persistent_disk_fs") if isinstance(bosh, Mapping) else None
    return str(to.env.get("persistent_disk_fs") or told or _DEFAULT_FILESYSTEM)


def _metadata(order: Order, site: Site, *, keeps: bool) -> Change:
    tags: Mapping[str, str] = {}
    if isinstance(site.cloud, ShowsDiskTags):
        tags = {name: value for name, value in site.cloud.disk_tags(order.old_disk_cid).items() if name not in _OURS}
    lost = sorted(name for name in tags if name not in order.metadata)
    now = ", ".join(sorted(tags)) or "none that can be read"
    if not keeps:
        return Change("metadata of the disk", now, "none: this cloud keeps no metadata of disks")
    then = ", ".join(sorted([*order.metadata, "move_id", "moved_from", "moved_from_cloud"]))
    advice = f"not carried over: {', '.join(lost)}" if lost else ""
    return Change("metadata of the disk", now, then, advice)


def _shown(properties: Mapping[str, Any] | None) -> str:
    if properties is None:
        return "not reported"
    return _listed(sorted(properties)) or "none"


def _listed(words: "Iterator[str] | Sequence[str]") -> str:
    return ", ".join(words)
