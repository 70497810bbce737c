"""Snapshots of disks."""

from cpi.contract import errors
from cpi.contract.ids import DiskCid, SnapshotCid
from cpi.contract.model import CallContext, Metadata
from drivers.openstack import naming
from drivers.openstack.client import Client, segment
from drivers.openstack.errors import AnswerLost, Missing, Refused
from drivers.openstack.states import Document, Waits, failed
from drivers.openstack.volumes import Volumes


class Snapshots:
    """Cinder's, of volumes in use too."""

    def __init__(self, client: Client, waits: Waits, volumes: Volumes) -> None:
        self._client = client
        self._waits = waits
        self._volumes = volumes

    def create(self, disk_cid: DiskCid, metadata: Metadata, context: CallContext) -> SnapshotCid:
        """Ready when this returns."""
        wish = {
            "volume_id": disk_cid,
            "force": True,
            "name": naming.name_of("snapshot", None),
            "description": "/".join(str(metadata.get(key, "")) for key in ("deployment", "job", "index")).strip("/"),
            "metadata": naming.metadata_at_birth(context, None, metadata),
        }
        snapshot = self._make(disk_cid, wish)
        try:
            self._waits.until(f"snapshot_disk: snapshot {snapshot['id']}", lambda: self._ready(snapshot["id"]))
        except errors.CloudError:
            self._client.delete("volume", f"/snapshots/{snapshot['id']}")
            raise
        return SnapshotCid(snapshot["id"])

    def delete(self, snapshot_cid: SnapshotCid) -> None:
        """Gone when this returns; what was not there is gone."""
        try:
            self._client.delete("volume", f"/snapshots/{segment(snapshot_cid)}")
        except Missing:
            return
        self._waits.gone(f"delete_snapshot: snapshot {snapshot_cid} is still there", lambda: self._not_failed(snapshot_cid))

    def _make(self, disk_cid: DiskCid, wish: dict[str, object]) -> Document:
        try:
            made: Document = self._client.post("volume", "/snapshots", {"snapshot": wish})["snapshot"]
        except Refused as error:
            self._volumes.existing(disk_cid)
            raise errors.CloudError(f"no snapshot of the disk {disk_cid}: {error.said}") from error
        except AnswerLost:
            found = list(self._client.pages("volume", "/snapshots/detail", "snapshots", {"name": wish["name"]}))
            if not found:
                raise
            made = found[0]
        return made

    def _look(self, snapshot_cid: str) -> Document:
        snapshot: Document = self._client.get("volume", f"/snapshots/{segment(snapshot_cid)}")["snapshot"]
        return snapshot

    def _ready(self, snapshot_cid: str) -> Document | None:
        snapshot = self._look(snapshot_cid)
        if snapshot["status"] not in {"creating", "available"}:
            raise failed(f"snapshot_disk: snapshot {snapshot_cid}", snapshot)
        return snapshot if snapshot["status"] == "available" else None

    def _not_failed(self, snapshot_cid: str) -> Document:
        snapshot = self._look(snapshot_cid)
        if snapshot["status"] != "deleting":
            raise failed(f"delete_snapshot: snapshot {snapshot_cid}", snapshot)
        return snapshot
