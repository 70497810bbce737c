"""Snapshots of disks."""

from typing import Any

from cpi.contract import errors
from cpi.contract.ids import DiskCid, SnapshotCid
from cpi.contract.model import CallContext, Metadata
from drivers.cloudstack import naming, tags
from drivers.cloudstack.client import Client, Document
from drivers.cloudstack.errors import AnswerLost, Missing, Refused
from drivers.cloudstack.inventory import Inventory


class Snapshots:
    """CloudStack's, of volumes in use too."""

    def __init__(self, client: Client, inventory: Inventory) -> None:
        self._client = client
        self._inventory = inventory

    def create(self, disk_cid: DiskCid, metadata: Metadata, context: CallContext) -> SnapshotCid:
        """Ready when this returns."""
        volume = self._inventory.existing_disk(disk_cid)
        if volume["state"] == "Allocated":
            raise errors.CloudError(
                f"the disk {disk_cid} was never attached: CloudStack has given it no storage to take a snapshot of"
            )
        name = naming.name_of("snapshot", None)
        wish = {"volumeid": volume["id"], "name": name, "tags": tags.as_parameter(naming.at_birth(context, None, metadata))}
        try:
            made = self._client.run("createSnapshot", f"snapshot_disk: disk {disk_cid}", "snapshot_volume", **wish)
        except AnswerLost:
            return SnapshotCid(self._ready(name)["id"])
        except errors.CloudError:
            self._remove_named(name)
            raise
        return SnapshotCid(made["snapshot"]["id"])

    def delete(self, snapshot_cid: SnapshotCid) -> None:
        """Gone when this returns; what was not there is gone."""
        what = f"delete_snapshot: {snapshot_cid}"
        try:
            self._client.run("deleteSnapshot", what, "delete_snapshot_volume", twice=True, id=snapshot_cid)
        except Missing:
            return
        except Refused as error:
            if self._found(id=snapshot_cid) is not None:
                raise errors.CloudError(f"the snapshot {snapshot_cid} can not be deleted: {error.said}") from error

    def _ready(self, name: str) -> Document:
        def look() -> Document | None:
            found = self._found(name=name)
            if found is None or found["state"] == "Error":
                raise AnswerLost(f"snapshot_disk: no answer came, and the snapshot {name} is not there")
            return found if found["state"] == "BackedUp" else None

        return self._client.until(f"snapshot_disk: snapshot {name}", "snapshot_volume", look)

    def _remove_named(self, name: str) -> None:
        found = self._found(name=name)
        if found is not None:
            self.delete(SnapshotCid(found["id"]))

    def _found(self, **wanted: Any) -> Document | None:
        try:
            found = list(self._client.pages("listSnapshots", "snapshot", **wanted, **self._inventory.scope))
        except Missing:
            return None
        return next((one for one in found if one.get("name") == wanted.get("name", one.get("name"))), None)
