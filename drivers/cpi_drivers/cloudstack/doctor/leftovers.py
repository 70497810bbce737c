"""What CPIs made in an account, found by tags, as `cpi sweep` lists it: one call for each kind, and one for each more page."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from cpi.contract.ids import DiskCid, SnapshotCid, StemcellCid
from cpi.contract.operator import Kind, TaggedResource
from cpi.kit.tagged import is_tagged, may_delete, time_of
from cpi.kit.tagging import MADE_BY
from cpi_drivers.cloudstack import tags
from cpi_drivers.cloudstack.api.client import Client, Document
from cpi_drivers.cloudstack.api.inventory import GOING_DISKS, GOING_VMS, Inventory
from cpi_drivers.cloudstack.disks.attachments import persistent
from cpi_drivers.cloudstack.disks.lifecycle import Disks
from cpi_drivers.cloudstack.disks.snapshots import Snapshots
from cpi_drivers.cloudstack.stemcells.lifecycle import Stemcells
from cpi_drivers.cloudstack.vms.lifecycle import Vms

_UUID: Final = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_OURS: Final = re.compile(rf"(cpivm|cpi-disk|cpi-snapshot)-{_UUID}|stemcell-[0-9a-f]{{23}}")
_GIB: Final = 1024**3


class Leftovers:
    """As in ListsTaggedResources."""

    def __init__(
        self, client: Client, inventory: Inventory, vms: Vms, disks: Disks, snapshots: Snapshots, stemcells: Stemcells
    ) -> None:
        self._client = client
        self._inventory = inventory
        self._deleting: Mapping[Kind, Callable[[str], object]] = {
            "VM": vms.delete,
            "stemcell": lambda cid: stemcells.delete(StemcellCid(cid)),
            "snapshot": lambda cid: snapshots.delete(SnapshotCid(cid)),
            "disk": lambda cid: disks.delete(DiskCid(cid)),
        }

    def listed(self) -> list[TaggedResource]:
        """Everything of the project or account that has our tags or a director's, or one of our names."""
        vms = [vm for vm in self._pages("listVirtualMachines", "virtualmachine") if vm["state"] not in GOING_VMS]
        volumes = [one for one in self._pages("listVolumes", "volume") if one["state"] not in GOING_DISKS]
        names = {vm["id"]: vm["name"] for vm in vms}
        found = [
            *(_vm(vm, [one for one in volumes if one.get("virtualmachineid") == vm["id"]]) for vm in vms),
            *map(_template, self._templates()),
            *map(_snapshot, self._pages("listSnapshots", "snapshot")),
            *(_volume(one, names) for one in volumes if one["type"] == "DATADISK"),
        ]
        return [one for one in found if is_tagged(one.tags)]

    def delete(self, resource: TaggedResource) -> None:
        """What has it, and what it has, are in no answer about it alone: so everything is listed anew."""
        found = next((one for one in self.listed() if (one.kind, one.id) == (resource.kind, resource.id)), None)
        if may_delete(resource, found):
            self._deleting[resource.kind](resource.id)

    def _pages(self, command: str, key: str, **more: Any) -> Iterator[Document]:
        yield from self._client.pages(command, key, **more, **self._inventory.scope)

    def _templates(self) -> list[Document]:
        """Each has a row for each zone that it is in."""
        return list({one["name"]: one for one in self._pages("listTemplates", "template", templatefilter="self")}.values())


def _vm(vm: Document, volumes: list[Document]) -> TaggedResource:
    data = [one for one in volumes if one["type"] == "DATADISK"]
    held = tuple(str(one["name"]) for one in persistent(vm, data))
    return _resource("VM", vm, str(vm["name"]), description=str(vm.get("serviceofferingname") or ""), held=held)


def _volume(volume: Document, names: Mapping[str, str]) -> TaggedResource:
    user = volume.get("virtualmachineid") or ""
    return _resource("disk", volume, str(volume["name"]), user=names.get(user, user), description=_size(volume))


def _snapshot(snapshot: Document) -> TaggedResource:
    return _resource("snapshot", snapshot, str(snapshot["id"]), description=_size(snapshot, "virtualsize"))


def _template(template: Document) -> TaggedResource:
    return _resource("stemcell", template, str(template["name"]), description=_size(template))


def _size(one: Document, key: str = "size") -> str:
    return f"{int(one.get(key) or 0) / _GIB:.1f} GiB" if one.get(key) else ""


def _resource(
    kind: Kind, one: Document, cid: str, *, user: str = "", description: str = "", held: tuple[str, ...] = ()
) -> TaggedResource:
    """Things are tagged by a call of its own after the one that makes them: what has no tags yet is known by its name."""
    named = {MADE_BY: "1"} if _OURS.fullmatch(str(one.get("name") or "")) else {}
    other = str(one["id"]) if cid != one["id"] else str(one.get("name") or "")
    return TaggedResource(
        kind=kind,
        id=cid,
        name=other,
        created=time_of(one.get("created")),
        tags={**named, **tags.of(one)},
        attached_to=user,
        holds=held,
        description=description,
    )
