"""Snapshots of disks."""

from typing import Any

from cpi.contract import errors
from cpi.contract.ids import DiskCid, SnapshotCid
from cpi.contract.model import CallContext, Metadata
from cpi.kit.failures import AnswerLost
from cpi.kit.undo import Undo
from cpi.kit.waiting import late
from cpi_drivers.cloudstack import naming, tags
from cpi_drivers.cloudstack.api.client import Client, Document
from cpi_drivers.cloudstack.api.errors import Missing, Refused
from cpi_drivers.cloudstack.api.inventory import Inventory


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
        name, what = naming.name_of("snapshot", None), f"snapshot_disk: disk {disk_cid}"
        wanted = {"volumeid": volume["id"], "name": name, "tags": tags.as_parameter(naming.initial_tags(context, None, metadata))}
        with Undo() as undo:
            undo.push(f"snapshot {name}", lambda: self._remove_named(name))
            try:
                made = self._client.run("createSnapshot", what, "snapshot_volume", **wanted)["snapshot"]
            except AnswerLost:
                if late(lambda: self._found(name=name)) is None:
                    raise
                made = self._ready(name)
        return SnapshotCid(made["id"])

    def delete(self, snapshot_cid: SnapshotCid) -> None:
        """Gone when this returns; what was not there is gone."""
        what = f"delete_snapshot: {snapshot_cid}"
        try:
            self._client.run("deleteSnapshot", what, "delete_snapshot_volume", idempotent=True, id=snapshot_cid)
        except Missing:
            return
        except Refused as error:
            if self._found(id=snapshot_cid) is not None:
                raise errors.CloudError(f"the snapshot {snapshot_cid} cannot be deleted: {error.said}") from error

    def _ready(self, name: str) -> Document:
        def look() -> Document | None:
            found = self._found(name=name)
            if found is None or found["state"] == "Error":
                state = "gone" if found is None else "in state Error"
                raise errors.CloudError(f"snapshot_disk: the snapshot {name} is {state}")
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
