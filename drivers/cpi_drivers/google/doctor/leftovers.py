"""What CPIs made in a project, found by labels, as `cpi sweep` lists it: one call for each kind, and one for each more page."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from cpi.contract.ids import DiskCid, NetworkCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.operator import Kind, TaggedResource
from cpi.kit.tagged import OFFICIAL, is_tagged, may_delete, time_of
from cpi.kit.tagging import MADE_BY
from cpi_drivers.google import naming
from cpi_drivers.google.api import errors, inventory
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.disks import lifecycle as disks
from cpi_drivers.google.disks import snapshots
from cpi_drivers.google.networks import managed as networks
from cpi_drivers.google.stemcells import lifecycle as stemcells
from cpi_drivers.google.vms import lifecycle as vms

_log = logging.getLogger(__name__)

Item = dict[str, Any]

_TAGGED: Final = f"(labels.{MADE_BY}:*) OR (labels.{OFFICIAL}:*)"


def tagged_resources(account: Account) -> list[TaggedResource]:
    """As in ListsTaggedResources."""
    instances = inventory.everywhere(account, "instances", _TAGGED)
    return [
        *map(_vm, instances),
        *(_labelled("stemcell", item) for item in _list(account, "images", _TAGGED)),
        *(_labelled("snapshot", item) for item in _list(account, "snapshots", _TAGGED)),
        *(_disk(item) for item in inventory.everywhere(account, "disks", _TAGGED) if item.get("status") != "DELETING"),
        *_networks(account, instances),
        *_buckets(account),
    ]


def delete(account: Account, resource: TaggedResource) -> None:
    """As in ListsTaggedResources: one call more than the deletion itself."""
    found = next((one for one in _LOOKS[resource.kind](account, resource.id) if one.id == resource.id), None)
    if may_delete(resource, found):
        _DELETING[resource.kind](account, resource.id)


def _list(account: Account, kind: str, wanted: str) -> Iterator[Item]:
    for page in account.client.pages(f"{kind}.list", filter=wanted):
        yield from page.get("items", [])


def _named(name: str) -> str:
    return f'name = "{name}"'


# ------------------------------------------------------------------ read


def _vm(item: Item) -> TaggedResource:
    held = tuple(map(str, vms.persistent_disks(item)))
    return _resource("VM", item, item.get("labels", {}), description=naming.last(item["machineType"]), held=held)


def _disk(item: Item) -> TaggedResource:
    user = naming.last(next(iter(item.get("users", [])), ""))
    size = f"{item['sizeGb']} GiB {naming.last(item.get('type', ''))}".strip()
    return _resource("disk", item, item.get("labels", {}), user=user, description=size)


def _labelled(kind: Kind, item: Item) -> TaggedResource:
    size = f"{item['diskSizeGb']} GiB" if item.get("diskSizeGb") else ""
    return _resource(kind, item, item.get("labels", {}), description=size)


def _networks(account: Account, instances: Sequence[Item]) -> Iterator[TaggedResource]:
    """They have no labels: their description tells. VMs of others on them are seen by Google alone, which refuses then."""
    nics = ((vm["name"], nic.get("subnetwork", "")) for vm in instances for nic in vm.get("networkInterfaces", []))
    users = {naming.last(subnetwork): name for name, subnetwork in nics}
    for item in inventory.everywhere(account, "subnetworks", ""):
        said = networks.tags_in(item)
        if is_tagged(said):
            yield _resource("network", item, said, user=users.get(item["name"], ""), description=item.get("ipCidrRange", ""))


def _buckets(account: Account, name: str = stemcells.BUCKET) -> Iterator[TaggedResource]:
    """Of heavy stemcells; a role that cannot see buckets has made none."""
    try:
        for page in account.client.pages("storage.buckets.list", project=account.project, prefix=name):
            for item in page.get("items", []):
                if is_tagged(item.get("labels", {})):
                    yield _resource("file", item, item["labels"], description="a bucket for the upload of a stemcell")
    except errors.Denied as error:
        _log.warning("buckets that uploads of stemcells left are not looked for: %s", error.message)


def _resource(
    kind: Kind, item: Item, labels: Mapping[str, str], *, user: str = "", description: str = "", held: tuple[str, ...] = ()
) -> TaggedResource:
    return TaggedResource(
        kind=kind,
        id=item["name"],
        name=labels.get("name", ""),
        created=time_of(item.get("creationTimestamp") or item.get("timeCreated")),
        tags=dict(labels),
        attached_to=user,
        holds=held,
        description=description,
    )


def _network_now(account: Account, _: str) -> Iterator[TaggedResource]:
    return _networks(account, inventory.everywhere(account, "instances", _TAGGED))


_LOOKS: Final[Mapping[Kind, Callable[[Account, str], Iterator[TaggedResource]]]] = {
    "VM": lambda account, name: map(_vm, inventory.everywhere(account, "instances", _named(name))),
    "stemcell": lambda account, name: (_labelled("stemcell", item) for item in _list(account, "images", _named(name))),
    "snapshot": lambda account, name: (_labelled("snapshot", item) for item in _list(account, "snapshots", _named(name))),
    "disk": lambda account, name: map(_disk, inventory.everywhere(account, "disks", _named(name))),
    "network": _network_now,
    "file": _buckets,
}
_DELETING: Final[Mapping[Kind, Callable[[Account, str], object]]] = {
    "VM": lambda account, cid: vms.delete(account, VmCid(cid)),
    "stemcell": lambda account, cid: stemcells.delete(account, StemcellCid(cid)),
    "snapshot": lambda account, cid: snapshots.delete(account, SnapshotCid(cid)),
    "disk": lambda account, cid: disks.remove(account, DiskCid(cid)),
    "network": lambda account, cid: networks.delete(account, NetworkCid(cid)),
    "file": stemcells.remove_bucket,
}
