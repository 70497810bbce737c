"""What CPIs made in a project, found by metadata, as `cpi sweep` lists it: one call for each kind, and one for each more page."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from cpi.contract.ids import DiskCid, NetworkCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.operator import Kind, TaggedResource
from cpi.kit.tagged import is_tagged, may_delete, time_of
from cpi.kit.tagging import MADE_BY
from cpi_drivers.openstack import naming
from cpi_drivers.openstack.api.client import Client, segment
from cpi_drivers.openstack.api.errors import Missing
from cpi_drivers.openstack.api.servers import DETAILED, is_going
from cpi_drivers.openstack.api.states import Document
from cpi_drivers.openstack.api.volumes import holders
from cpi_drivers.openstack.disks.lifecycle import Disks
from cpi_drivers.openstack.disks.snapshots import Snapshots
from cpi_drivers.openstack.networks.managed import ManagedNetworks
from cpi_drivers.openstack.stemcells.lifecycle import Stemcells
from cpi_drivers.openstack.vms.lifecycle import Vms

_OF_NEUTRON: Final = "network:"
_SAID: Final = re.compile(r"([\w-]+)=(\S*)")


class Leftovers:
    """As in ListsTaggedResources."""

    def __init__(
        self, client: Client, vms: Vms, disks: Disks, snapshots: Snapshots, networks: ManagedNetworks, stemcells: Stemcells
    ) -> None:
        self._client = client
        self._deleting: Mapping[Kind, Callable[[str], object]] = {
            "VM": lambda cid: vms.delete(VmCid(cid)),
            "interface": vms.ports.remove,
            "stemcell": lambda cid: stemcells.delete(StemcellCid(cid)),
            "snapshot": lambda cid: snapshots.delete(SnapshotCid(cid)),
            "disk": lambda cid: disks.delete(DiskCid(cid)),
            "network": lambda cid: networks.delete(NetworkCid(cid)),
        }

    def listed(self) -> list[TaggedResource]:
        """Everything of the project that has our metadata or a director's."""
        ports = list(self._pages("network", "/ports", "ports"))
        servers = self._pages("compute", "/servers/detail", "servers", microversion=DETAILED)
        found = [
            *(_vm(server) for server in servers if not is_going(server)),
            *map(_port, ports),
            *map(_image, self._images()),
            *(_snapshot(one) for one in self._pages("volume", "/snapshots/detail", "snapshots") if _stays(one)),
            *(_volume(one) for one in self._pages("volume", "/volumes/detail", "volumes") if _stays(one)),
            *(_network(one, ports) for one in self._pages("network", "/networks", "networks") if naming.is_network(one["name"])),
        ]
        return [one for one in found if is_tagged(one.tags)]

    def delete(self, resource: TaggedResource) -> None:
        """One or two calls more than the deletion itself."""
        try:
            found = self._now(resource.kind, segment(resource.id))
        except Missing:
            found = None
        if may_delete(resource, found):
            self._deleting[resource.kind](resource.id)

    def _now(self, kind: Kind, id_: str) -> TaggedResource | None:
        if kind == "VM":
            server = self._client.get("compute", f"/servers/{id_}", microversion=DETAILED)["server"]
            return None if is_going(server) else _vm(server)
        if kind == "interface":
            return _port(self._client.get("network", f"/ports/{id_}")["port"])
        if kind == "stemcell":
            return _image(self._client.get("image", f"/images/{id_}"))
        if kind == "network":
            ports = list(self._pages("network", "/ports", "ports", {"network_id": id_}))
            return _network(self._client.get("network", f"/networks/{id_}")["network"], ports)
        one = self._client.get("volume", f"/{kind}s/{id_}" if kind == "snapshot" else f"/volumes/{id_}")
        return _snapshot(one["snapshot"]) if kind == "snapshot" else _volume(one["volume"])

    def _pages(
        self, service: Any, path: str, key: str, query: Any = None, *, microversion: str | None = None
    ) -> Iterator[Document]:
        yield from self._client.pages(service, path, key, query, microversion=microversion)

    def _images(self) -> Iterator[Document]:
        """Glance links to the next page in a way of its own."""
        query: dict[str, Any] = {MADE_BY: "1", "limit": 1000}
        while True:
            page = self._client.get("image", "/images", query)
            yield from page["images"]
            if not page.get("next"):
                return
            query["marker"] = page["images"][-1]["id"]


def _stays(one: Document) -> bool:
    return bool(one["status"] != "deleting")


def _vm(server: Document) -> TaggedResource:
    attached = server.get("os-extended-volumes:volumes_attached", [])
    held = tuple(volume["id"] for volume in attached if not volume.get("delete_on_termination"))
    flavor = str(server.get("flavor", {}).get("original_name", ""))
    return _resource("VM", server, server.get("metadata", {}), created="created", description=flavor, held=held)


def _port(port: Document) -> TaggedResource:
    addresses = ", ".join(fixed["ip_address"] for fixed in port.get("fixed_ips", []))
    user = port.get("device_id") or port.get("device_owner") or ""
    return _resource("interface", port, _said(port), user=user, description=addresses)


def _image(image: Document) -> TaggedResource:
    tags = {key: value for key, value in image.items() if isinstance(value, str) and key.startswith(MADE_BY)}
    return _resource("stemcell", image, tags, description=f"{(image.get('size') or 0) // 1024**2} MiB")


def _snapshot(snapshot: Document) -> TaggedResource:
    return _resource("snapshot", snapshot, snapshot.get("metadata", {}), description=f"{snapshot['size']} GiB")


def _volume(volume: Document) -> TaggedResource:
    user = next(iter(holders(volume)), "") or ("a host" if volume.get("attachments") else "")
    size = f"{volume['size']} GiB {volume.get('volume_type') or ''}".strip()
    return _resource("disk", volume, volume.get("metadata", {}), user=user, description=size)


def _network(network: Document, ports: list[Document]) -> TaggedResource:
    on_it = [port for port in ports if port["network_id"] == network["id"]]
    others = (port for port in on_it if not str(port.get("device_owner") or "").startswith(_OF_NEUTRON))
    user = next((port.get("device_id") or port["id"] for port in others), "")
    return _resource("network", network, _said(network), user=user)


def _said(one: Document) -> dict[str, str]:
    """Neutron has no metadata: what this CPI makes there says the same in its description."""
    return dict(_SAID.findall(one.get("description") or ""))


def _resource(
    kind: Kind,
    one: Document,
    tags: Mapping[str, str],
    *,
    created: str = "created_at",
    user: str = "",
    description: str = "",
    held: tuple[str, ...] = (),
) -> TaggedResource:
    return TaggedResource(
        kind=kind,
        id=one["id"],
        name=one.get("name") or "",
        created=time_of(one.get(created)),
        tags=dict(tags),
        attached_to=user,
        holds=held,
        description=description,
    )
