"""A disk replaced by an encrypted copy of itself, so that a killed call can be finished and the new CID is never lost.

The old disk gets a mark (tag REPLACED_BY) before the snapshot is taken; snapshot and new disk carry it too, and name the old
disk (tag REPLACES). attach_disk takes the mark off, since a disk that may have been written to has no copy any more.
"""

import logging
import uuid
from typing import Any

from cpi.contract import errors as contract_errors
from cpi.contract.ids import DiskCid, SnapshotCid
from cpi_drivers.aws import tags
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.disks import lifecycle as disks
from cpi_drivers.aws.disks import snapshots
from cpi_drivers.aws.properties import DiskProperties

_log = logging.getLogger(__name__)

Item = dict[str, Any]


def find_replacement(account: Account, disk_cid: DiskCid) -> DiskCid | None:
    """The disk that took the place of one that is gone: the last copy, since earlier ones were never finished."""
    filters = [tags.with_tag(tags.REPLACES, str(disk_cid)), {"Name": "status", "Values": ["available", "in-use"]}]
    found = account.client.call("DescribeVolumes", Filters=filters)["Volumes"]
    newest = max(found, key=lambda item: str(item.get("CreateTime", "")), default=None)
    return DiskCid(newest["VolumeId"]) if newest else None


def replace(account: Account, item: Item, request: Item, properties: DiskProperties) -> DiskCid:
    """The CID of the copy. The old disk goes last, and that it cannot go hides nothing."""
    old = DiskCid(item["VolumeId"])
    mark = _mark(account, item)
    _remove_stale_snapshots(account, old, mark)
    new = _made_before(account, old, mark)
    if new is None:
        snapshot_cid = _snapshot(account, old, mark)
        new = _copy(account, item, {**request, "SnapshotId": str(snapshot_cid)}, properties, mark)
    _remove(account, old, new, mark)
    return new


def _copy(account: Account, item: Item, request: Item, properties: DiskProperties, mark: str) -> DiskCid:
    kept = {key: value for key, value in tags.from_pairs(item.get("Tags")).items() if not key.startswith(("aws:", "multicpi"))}
    born = {**tags.initial_tags(account, {**kept, **properties.tags}, mark), tags.REPLACES: item["VolumeId"]}
    return disks.make(
        account, {**request, "AvailabilityZone": item["AvailabilityZone"]}, born, f"{mark}{sorted(request.items())}"
    )


def _made_before(account: Account, old: DiskCid, mark: str) -> DiskCid | None:
    ours = [tags.with_tag(tags.REPLACES, str(old)), tags.with_tag(tags.TOKEN, mark)]
    for found in account.client.call("DescribeVolumes", Filters=ours)["Volumes"]:
        disk_cid = DiskCid(found["VolumeId"])
        if disks.wait_until_available(account, disk_cid):
            return disk_cid
    return None


def _remove(account: Account, old: DiskCid, new: DiskCid, mark: str) -> None:
    """What is no longer needed. A failure is logged only: the new CID must reach the director."""
    try:
        for snapshot_cid in _snapshots_of(account, old, mark):
            snapshots.delete(account, snapshot_cid)
        disks.remove(account, old)
    except contract_errors.Error as error:
        _log.error("%s was replaced by %s; what is no longer needed could not be removed: %s", old, new, error.message)


def _mark(account: Account, item: Item) -> str:
    present = tags.from_pairs(item.get("Tags")).get(tags.REPLACED_BY)
    if present:
        return present
    mark = uuid.uuid4().hex
    account.client.call("CreateTags", Resources=[item["VolumeId"]], Tags=tags.as_pairs({tags.REPLACED_BY: mark}))
    return mark


def _remove_stale_snapshots(account: Account, old: DiskCid, mark: str) -> None:
    """Of a former state of the disk, taken by calls that were killed. Disks are never removed on suspicion."""
    ours = [tags.with_tag(tags.REPLACES, str(old))]
    for found in account.client.call("DescribeSnapshots", OwnerIds=["self"], Filters=ours)["Snapshots"]:
        if tags.from_pairs(found.get("Tags")).get(tags.TOKEN) != mark:
            snapshots.delete(account, SnapshotCid(found["SnapshotId"]))


def _snapshots_of(account: Account, old: DiskCid, mark: str) -> list[SnapshotCid]:
    ours = [tags.with_tag(tags.REPLACES, str(old)), tags.with_tag(tags.TOKEN, mark)]
    found = account.client.call("DescribeSnapshots", OwnerIds=["self"], Filters=ours)["Snapshots"]
    return [SnapshotCid(item["SnapshotId"]) for item in found]


def _snapshot(account: Account, old: DiskCid, mark: str) -> SnapshotCid:
    taken = _snapshots_of(account, old, mark)
    snapshot_cid = taken[0] if taken else snapshots.take(account, old, f"to replace {old}", {tags.REPLACES: str(old)}, mark)
    snapshots.wait_until_complete(account, snapshot_cid)
    return snapshot_cid
