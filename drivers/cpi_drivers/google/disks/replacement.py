"""A disk replaced by a copy of itself of another type, so that a killed call can be finished and the new CID is never lost.

Snapshot and new disk name the old one (label REPLACES). What was taken before the old disk was attached again is no copy of it
any more, which Google's own times tell.
"""

import datetime as dt
import logging
from typing import Any

from cpi.contract import errors as contract_errors
from cpi.contract.ids import DiskCid, SnapshotCid
from cpi.kit.tagging import MADE_BY
from cpi_drivers.google import naming, tags
from cpi_drivers.google.api import errors, inventory
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.disks import lifecycle as disks
from cpi_drivers.google.disks import snapshots
from cpi_drivers.google.properties import DiskProperties

_log = logging.getLogger(__name__)

Item = dict[str, Any]


def find(account: Account, disk_cid: DiskCid) -> DiskCid | None:
    """The disk that took the place of one that is gone: the last copy, since earlier ones were never finished."""
    if not naming.is_name(disk_cid):
        return None
    newest = max(_copies_of(account, disk_cid), key=_born, default=None)
    return DiskCid(newest["name"]) if newest else None


def replace(account: Account, item: Item, body: Item, properties: DiskProperties) -> DiskCid:
    """The CID of the copy. The old disk goes last, and that it cannot go hides nothing."""
    old = DiskCid(item["name"])
    try:
        new = _made_before(account, item, body) or _copy(account, item, body, properties)
    except errors.Denied as error:
        _remove_snapshots(account, old)
        told = f"the role does not allow {old} to be replaced in a way that a killed call could finish: {error.message}"
        raise contract_errors.NotSupported(f"{told}; copy it to a new disk") from error
    _remove(account, old, new)
    return new


def _copy(account: Account, item: Item, body: Item, properties: DiskProperties) -> DiskCid:
    old, zone = DiskCid(item["name"]), naming.last(item["zone"])
    snapshot_cid = _snapshot(account, item)
    kept = {key: value for key, value in item.get("labels", {}).items() if not key.startswith(MADE_BY)}
    born = {**tags.initial_tags(account, {**kept, **properties.labels}), tags.REPLACES: str(old)}
    source = f"projects/{account.project}/global/snapshots/{snapshot_cid}"
    request = {**body, "sourceSnapshot": source, "labels": born}
    return disks.make(account, zone, request, f"{snapshot_cid}{sorted(body.items())}")


def _made_before(account: Account, item: Item, body: Item) -> DiskCid | None:
    """A whole copy, as wished, that an earlier call made and could not answer, or whose old disk would not go."""
    for found in _copies_of(account, DiskCid(item["name"])):
        as_wished = naming.last(found["type"]) == naming.last(body["type"]) and found["sizeGb"] == body["sizeGb"]
        if as_wished and _born(found) > _last_written(item) and disks.is_ready(account, DiskCid(found["name"])):
            return DiskCid(found["name"])
    return None


def _copies_of(account: Account, disk_cid: DiskCid) -> list[Item]:
    return inventory.everywhere(account, "disks", tags.having(tags.REPLACES, str(disk_cid)))


def _snapshot(account: Account, item: Item) -> SnapshotCid:
    """A snapshot of the disk as it is now: one that a killed call took, or a new one. Stale ones are removed."""
    fresh: SnapshotCid | None = None
    for found in _snapshots_of(account, DiskCid(item["name"])):
        snapshot_cid = SnapshotCid(found["name"])
        if fresh is None and _born(found) > _last_written(item):
            fresh = snapshot_cid
        else:
            snapshots.delete(account, snapshot_cid)
    if fresh is None:
        disk_cid = DiskCid(item["name"])
        fresh = snapshots.new_cid()
        born = {**tags.initial_tags(account, {}), tags.REPLACES: str(disk_cid)}
        snapshots.take(account, disk_cid, fresh, f"to replace {disk_cid}", born)
    snapshots.wait_until_ready(account, fresh)
    return fresh


def _snapshots_of(account: Account, disk_cid: DiskCid) -> list[Item]:
    wanted = tags.having(tags.REPLACES, str(disk_cid))
    pages = account.client.pages("snapshots.list", filter=wanted)
    return [one for page in pages for one in page.get("items", [])]


def _remove(account: Account, old: DiskCid, new: DiskCid) -> None:
    """What is no longer needed. A failure is told by a label and the log only: the new CID must reach the director."""
    try:
        disks.remove(account, old)
    except contract_errors.Error as error:
        _log.error("%s was replaced by %s and could not be removed: %s", old, new, error.message)
        _mark(account, old, new)
    _remove_snapshots(account, old)


def _remove_snapshots(account: Account, old: DiskCid) -> None:
    try:
        for found in _snapshots_of(account, old):
            snapshots.delete(account, SnapshotCid(found["name"]))
    except contract_errors.Error as error:
        _log.error("a snapshot that served to replace %s could not be removed: %s", old, error.message)


def _mark(account: Account, old: DiskCid, new: DiskCid) -> None:
    try:
        disks.set_metadata(account, old, {tags.REPLACED_BY: str(new)})
    except contract_errors.Error as error:
        _log.error("%s could not be labelled as an orphan: %s", old, error.message)


def _born(item: Item) -> dt.datetime:
    return dt.datetime.fromisoformat(item["creationTimestamp"])


def _last_written(item: Item) -> dt.datetime:
    """Nothing was written to it since it was last detached; one that never was holds what it was born with."""
    times = [item[key] for key in ("lastAttachTimestamp", "lastDetachTimestamp", "creationTimestamp") if item.get(key)]
    return max(map(dt.datetime.fromisoformat, times))
