"""Snapshots of persistent disks."""

import uuid
from typing import Any

from cpi.contract import errors as contract_errors
from cpi.contract.ids import DiskCid, SnapshotCid
from cpi.contract.model import Metadata
from cpi.kit.undo import Undo
from cpi_drivers.aws import tags
from cpi_drivers.aws.api import errors
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.disks import lifecycle as disks

Item = dict[str, Any]

_DESCRIBING = ("deployment", "job", "index")
_MISSING = frozenset({"InvalidSnapshot.NotFound", "InvalidSnapshotID.Malformed", "InvalidParameterValue"})


def create(account: Account, disk_cid: DiskCid, metadata: Metadata) -> SnapshotCid:
    """A completed snapshot that carries metadata."""
    attached = disks.describe(account, disk_cid).get("Attachments", [])
    device = attached[0].get("Device", "").rpartition("/")[2] if attached else ""
    parts = [str(metadata[key]) for key in _DESCRIBING if metadata.get(key) is not None]
    description = "/".join([*parts, device] if device else parts)
    snapshot_cid = take(account, disk_cid, description, {**metadata, **tags.name_from(metadata)}, uuid.uuid4().hex)
    wait_until_complete(account, snapshot_cid)
    return snapshot_cid


def take(account: Account, disk_cid: DiskCid, description: str, given: Metadata, seed: str) -> SnapshotCid:
    """Begin a snapshot. CreateSnapshot knows no client token: after a lost answer the tag tells whether it was made."""
    specification = tags.specification(["snapshot"], tags.initial_tags(account, given, seed))
    for _ in range(max(account.settings.max_retries, 1)):
        try:
            answer = account.client.call(
                "CreateSnapshot", VolumeId=str(disk_cid), Description=description[:255], TagSpecifications=specification
            )
            return SnapshotCid(answer["SnapshotId"])
        except errors.AnswerLost as error:
            unanswered = error
            found = account.client.call("DescribeSnapshots", OwnerIds=["self"], Filters=[tags.with_tag(tags.TOKEN, seed)])[
                "Snapshots"
            ]
            if found:
                return SnapshotCid(found[0]["SnapshotId"])
    raise unanswered


def wait_until_complete(account: Account, snapshot_cid: SnapshotCid) -> None:
    """Raises CloudError if EBS gave it up; it is then removed."""

    def complete() -> bool:
        item = describe(account, snapshot_cid)
        if item.get("State") in ("error", "recoverable"):
            raise contract_errors.CloudError(
                f"EBS could not make the snapshot {snapshot_cid}: {item.get('StateMessage') or 'no reason given'}"
            )
        return item.get("State") == "completed"

    with Undo() as undo:
        undo.push(f"snapshot {snapshot_cid}", lambda: delete(account, snapshot_cid))
        account.wait(complete, f"the snapshot {snapshot_cid} is not complete", account.patience.snapshot)


def describe(account: Account, snapshot_cid: SnapshotCid) -> Item:
    """The snapshot. Raises CloudError."""
    found: list[Item] = account.client.call("DescribeSnapshots", SnapshotIds=[str(snapshot_cid)]).get("Snapshots", [])
    if not found:
        raise errors.Refused(f"there is no snapshot {snapshot_cid}")
    return found[0]


def delete(account: Account, snapshot_cid: SnapshotCid) -> None:
    """One that is gone is success."""
    try:
        account.client.call("DeleteSnapshot", SnapshotId=str(snapshot_cid))
    except errors.Refused as error:
        if error.code not in _MISSING:
            raise
