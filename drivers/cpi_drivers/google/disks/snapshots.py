"""Snapshots of persistent disks."""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.ids import DiskCid, SnapshotCid
from cpi.contract.model import Metadata
from cpi.kit.undo import Undo
from cpi_drivers.google import naming, tags
from cpi_drivers.google.api import errors
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.disks import lifecycle as disks

Item = dict[str, Any]

_DESCRIBING: Final = ("deployment", "job", "index")


def create(account: Account, disk_cid: DiskCid, metadata: Metadata) -> SnapshotCid:
    """A ready snapshot that carries metadata."""
    parts = [str(metadata[key]) for key in _DESCRIBING if metadata.get(key) is not None]
    snapshot_cid = new_cid()
    take(account, disk_cid, snapshot_cid, "/".join(parts), tags.initial_tags(account, metadata))
    return snapshot_cid


def new_cid() -> SnapshotCid:
    """Of a snapshot that is to be taken."""
    return SnapshotCid(f"snapshot-{uuid.uuid4()}")


def take(account: Account, disk_cid: DiskCid, snapshot_cid: SnapshotCid, description: str, born: Mapping[str, str]) -> None:
    """A snapshot of that name; what fails leaves none."""
    if not naming.is_name(disk_cid):
        raise errors.DiskMissing(f"there is no disk {disk_cid}")
    where = account.settings.snapshot_storage_location
    body: Item = {"name": str(snapshot_cid), "description": description, "labels": dict(born)}
    body |= {"storageLocations": [where]} if where else {}
    with Undo() as undo:
        place = {"zone": disks.zone_of(account, disk_cid), "disk": str(disk_cid)}
        undo.push(f"snapshot {snapshot_cid}", lambda: delete(account, snapshot_cid))
        wait = {"deadline_seconds": account.patience.snapshot}
        tags.made(account, "snapshots", body, lambda wanted: account.do("disks.createSnapshot", wanted, **wait, **place))


def wait_until_ready(account: Account, snapshot_cid: SnapshotCid) -> None:
    """Raises CloudError if Google gave it up."""

    def ready() -> bool:
        status = account.client.call("snapshots.get", snapshot=str(snapshot_cid))["status"]
        if status in ("FAILED", "DELETING"):
            raise contract_errors.CloudError(f"Google could not make the snapshot {snapshot_cid}: it is {status}")
        return bool(status == "READY")

    account.wait(ready, f"the snapshot {snapshot_cid} is not ready", account.patience.snapshot)


def delete(account: Account, snapshot_cid: SnapshotCid) -> None:
    """One that is gone is success."""
    if not naming.is_name(snapshot_cid):
        return
    try:
        account.do("snapshots.delete", snapshot=str(snapshot_cid))
    except errors.Missing:
        return
