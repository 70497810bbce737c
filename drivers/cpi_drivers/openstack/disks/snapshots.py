"""Snapshots of disks."""

from cpi.contract import errors
from cpi.contract.ids import DiskCid, SnapshotCid
from cpi.contract.model import CallContext, Metadata
from cpi.kit.failures import AnswerLost
from cpi.kit.undo import Undo
from cpi_drivers.openstack import naming
from cpi_drivers.openstack.api.client import Client, segment
from cpi_drivers.openstack.api.errors import Missing, Refused
from cpi_drivers.openstack.api.states import Document, Pending, Waits, failed
from cpi_drivers.openstack.api.volumes import Volumes


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
        snapshot_cid = SnapshotCid(self._make(disk_cid, wish)["id"])
        with Undo() as undo:
            undo.push(f"snapshot {snapshot_cid}", lambda: self._discard(snapshot_cid))
            self._waits.until(f"snapshot_disk: snapshot {snapshot_cid}", lambda: self._ready(snapshot_cid))
        return snapshot_cid

    def delete(self, snapshot_cid: SnapshotCid) -> None:
        """Gone when this returns; what was not there is gone."""
        try:
            self._client.delete("volume", f"/snapshots/{segment(snapshot_cid)}")
        except Missing:
            return
        except Refused as error:
            if self._is_there(snapshot_cid):
                raise errors.CloudError(f"the snapshot {snapshot_cid} cannot be deleted: {error.said}") from error
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

    def _discard(self, snapshot_cid: SnapshotCid) -> None:
        """Cinder deletes none that is still being made."""
        what = f"snapshot {snapshot_cid} is still being made"
        self._waits.until(what, lambda: None if self._look(snapshot_cid)["status"] == "creating" else {"made": True})
        self.delete(snapshot_cid)

    def _is_there(self, snapshot_cid: SnapshotCid) -> bool:
        try:
            return bool(self._look(snapshot_cid)["status"] != "deleting")
        except Missing:
            return False

    def _look(self, snapshot_cid: str) -> Document:
        snapshot: Document = self._client.get("volume", f"/snapshots/{segment(snapshot_cid)}")["snapshot"]
        return snapshot

    def _ready(self, snapshot_cid: str) -> Document | Pending:
        snapshot = self._look(snapshot_cid)
        if snapshot["status"] not in {"creating", "available"}:
            raise failed(f"snapshot_disk: snapshot {snapshot_cid}", snapshot)
        return snapshot if snapshot["status"] == "available" else Pending(snapshot)

    def _not_failed(self, snapshot_cid: str) -> Document:
        snapshot = self._look(snapshot_cid)
        if snapshot["status"] != "deleting":
            raise failed(f"delete_snapshot: snapshot {snapshot_cid}", snapshot)
        return snapshot
