"""Disks by themselves: made, found, deleted, described."""

from typing import Any

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CallContext, CloudProperties, Metadata
from cpi.contract.units import MiB, gib_from_mib
from cpi.kit import failures, private_files
from cpi.kit.failures import AnswerLost
from cpi.kit.settings import DISK_KEYS, read_cloud_properties
from cpi.kit.tagging import TOKEN
from cpi.kit.undo import Undo
from cpi_drivers.openstack import naming
from cpi_drivers.openstack.api.client import Client, segment
from cpi_drivers.openstack.api.errors import Missing, Refused
from cpi_drivers.openstack.api.servers import Servers
from cpi_drivers.openstack.api.states import Document, Waits, failed
from cpi_drivers.openstack.api.volumes import AVAILABLE, IN_USE, Volumes, holder_words
from cpi_drivers.openstack.properties import DiskProperties
from cpi_drivers.openstack.settings import OpenStackSettings


class Disks:
    """Persistent disks: Cinder's volumes."""

    def __init__(
        self, client: Client, settings: OpenStackSettings, waits: Waits, volumes: Volumes, servers: Servers, *, strict: bool
    ) -> None:
        self._client = client
        self._settings = settings
        self._waits = waits
        self._volumes = volumes
        self._servers = servers
        self._strict = strict

    def create(
        self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None, token: str | None, context: CallContext
    ) -> DiskCid:
        """A disk that is ready."""
        wish = read_cloud_properties(DiskProperties, cloud_properties, strict=self._strict, ignored_keys=DISK_KEYS)
        body: dict[str, Any] = {
            "size": max(1, gib_from_mib(size)),
            "name": wish.name or naming.name_of("volume", token),
            "metadata": naming.metadata_at_birth(context, token),
        }
        if wish.type or self._settings.default_volume_type:
            body["volume_type"] = wish.type or self._settings.default_volume_type
        if vm_cid and not self._settings.ignore_server_availability_zone:
            body["availability_zone"] = self._servers.existing(vm_cid).get("OS-EXT-AZ:availability_zone")
        with private_files.one_at_a_time(self._client.folder, "openstack-call", token):
            volume = (self._with_token(token) if token else None) or self._make(body)
            return self._ready(volume)

    def delete(self, disk_cid: DiskCid) -> None:
        """Gone when this returns; what was not there is gone."""
        try:
            self._client.delete("volume", f"/volumes/{segment(disk_cid)}")
        except Missing:
            return
        except Refused as error:
            if self._is_freed(disk_cid):
                self.delete(disk_cid)
                return
            if self.has(disk_cid):
                raise errors.CloudError(f"the disk {disk_cid} cannot be deleted{self._why(disk_cid)}: {error.said}") from error
        self._waits.gone(f"delete_disk: disk {disk_cid} is still there", lambda: self._not_failed(disk_cid))

    def _is_freed(self, disk_cid: DiskCid) -> bool:
        """Whether it was only a VM that is gone that had it."""
        try:
            volume = self._volumes.look(disk_cid)
        except Missing:
            return False
        return volume["status"] == IN_USE and bool(self._volumes.let_go(volume, "delete_disk")["status"] == AVAILABLE)

    def _why(self, disk_cid: DiskCid) -> str:
        """The reason, where it can be seen: Cinder names every one that there might be."""
        holder = holder_words(self._volumes.look(disk_cid))
        if holder:
            return f", it is attached to {holder}"
        left = [one["id"] for one in self._client.pages("volume", "/snapshots", "snapshots", {"volume_id": disk_cid})]
        return f", it has the snapshots {', '.join(left)}: delete them first" if left else ""

    def has(self, disk_cid: DiskCid) -> bool:
        """False for what is gone or going."""
        try:
            return bool(self._volumes.look(disk_cid)["status"] != "deleting")
        except Missing:
            return False

    def set_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        """Added to what is there."""
        try:
            path = f"/volumes/{segment(disk_cid)}/metadata"
            self._client.post("volume", path, {"metadata": naming.cut(metadata)}, idempotent=True)
        except Missing as error:
            raise failures.no_such_disk(disk_cid) from error

    def metadata(self, disk_cid: DiskCid) -> dict[str, str]:
        """What is there."""
        try:
            return dict(self._volumes.look(disk_cid).get("metadata", {}))
        except Missing as error:
            raise failures.no_such_disk(disk_cid) from error

    def _make(self, body: dict[str, Any]) -> Document:
        try:
            made: Document = self._client.post("volume", "/volumes", {"volume": body})["volume"]
        except AnswerLost:
            found = self._find(name=body["name"])
            if found is None:
                raise
            return found
        except Refused as error:
            raise _refused(body, error) from error
        return made

    def _with_token(self, token: str) -> Document | None:
        # Cinder reads the filter as a Python literal.
        return self._find(metadata=str({TOKEN: naming.metadata_at_birth(CallContext(), token)[TOKEN]}))

    def _find(self, **query: str) -> Document | None:
        for volume in self._client.pages("volume", "/volumes/detail", "volumes", query):
            found: Document = volume
            if found["status"] not in {"deleting", "error"}:
                return found
        return None

    def _ready(self, volume: Document) -> DiskCid:
        disk_cid = DiskCid(volume["id"])
        with Undo() as undo:
            undo.push(f"volume {disk_cid}", lambda: self._discard(disk_cid))
            if volume["status"] not in {AVAILABLE, IN_USE}:
                self._volumes.reached(disk_cid, AVAILABLE, "create_disk")
        return disk_cid

    def _discard(self, disk_cid: DiskCid) -> None:
        """Cinder deletes none that is still being made."""
        self._volumes.settled(disk_cid, "create_disk")
        self.delete(disk_cid)

    def _not_failed(self, disk_cid: DiskCid) -> Document:
        volume = self._volumes.look(disk_cid)
        if volume["status"] != "deleting":
            raise failed(f"delete_disk: disk {disk_cid}", volume)
        return volume


def _refused(wish: dict[str, Any], error: Refused) -> errors.Error:
    asked = f"no disk of {wish['size']} GiB" + (f" of the type {wish['volume_type']!r}" if "volume_type" in wish else "")
    if error.is_quota:
        return errors.NoDiskSpace(f"{asked}: the project's quota: {error.said}")
    zone = wish.get("availability_zone")
    advice = ""
    if zone and "zone" in error.said.lower():
        advice = f"; the VM is in {zone!r}: if Cinder has other zones than Nova, set ignore_server_availability_zone: true"
    return errors.CloudError(f"{asked}: {error.said}{advice}")
