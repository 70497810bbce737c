"""Persistent disks: made, found, tagged, deleted."""

import contextlib
import functools
import hashlib
import logging
import uuid
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CloudProperties, Metadata
from cpi.contract.units import MiB, gib_from_mib
from cpi.kit.settings import DISK_KEYS, read_cloud_properties
from cpi.kit.undo import Undo
from cpi_drivers.aws import tags
from cpi_drivers.aws.api import errors, inventory
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.properties import DiskProperties

_log = logging.getLogger(__name__)

Item = dict[str, Any]

_GENERATIONS: Final = 10
_LARGEST_GIB: Final = 65536
_WITH_IOPS: Final = frozenset({"gp3", "io1", "io2"})
_GP3_IOPS: Final = 3000
_GP3_THROUGHPUT: Final = 125


def volume(type_: str, iops: int | None, throughput: int | None, *, encrypted: bool, kms_key: str | None) -> dict[str, Any]:
    """The keys of an EBS volume, as RunInstances and CreateVolume take them; gp3's free baseline is not sent."""
    wanted: dict[str, Any] = {"VolumeType": type_}
    if iops and type_ in _WITH_IOPS and not (type_ == "gp3" and iops <= _GP3_IOPS):
        wanted["Iops"] = iops
    if throughput and type_ == "gp3" and throughput > _GP3_THROUGHPUT:
        wanted["Throughput"] = throughput
    if (iops and type_ not in _WITH_IOPS) or (throughput and type_ != "gp3"):
        _log.warning("EBS takes no iops or no throughput for %s: left out", type_)
    if encrypted:
        wanted["Encrypted"] = True
        if kms_key:
            wanted["KmsKeyId"] = kms_key
    return wanted


def read_properties(account: Account, cloud_properties: CloudProperties) -> DiskProperties:
    """Raises CpiError listing the faults."""
    return read_cloud_properties(
        DiskProperties, cloud_properties, strict=account.config.strict_properties, ignored_keys=DISK_KEYS
    )


def describe(account: Account, disk_cid: DiskCid) -> Item:
    """The disk. Raises DiskNotFound."""
    found = account.client.call("DescribeVolumes", VolumeIds=[str(disk_cid)]).get("Volumes", [])
    if not found or found[0].get("State") in ("deleting", "deleted"):
        raise errors.DiskMissing(f"there is no disk {disk_cid}")
    item: Item = found[0]
    return item


def exists(account: Account, disk_cid: DiskCid) -> bool:
    """Whether there is such a disk."""
    try:
        describe(account, disk_cid)
    except errors.DiskMissing:
        return False
    return True


def create(account: Account, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None, token: str | None) -> DiskCid:
    """An available disk in the VM's zone."""
    properties = read_properties(account, cloud_properties)
    if gib_from_mib(size) > _LARGEST_GIB:
        raise errors.NoRoom(f"EBS has no disks of {size} MiB: the largest is {_LARGEST_GIB} GiB")
    zone = _zone(account, properties, vm_cid)
    encrypted = account.settings.encrypted if properties.encrypted is None else properties.encrypted
    kms_key = properties.kms_key_arn or account.settings.kms_key_arn
    keys = volume(properties.type or "gp3", properties.iops, properties.throughput, encrypted=encrypted, kms_key=kms_key)
    named = {"Name": properties.name} if properties.name else {}
    seed = token or uuid.uuid4().hex
    born = tags.initial_tags(account, {**properties.tags, **named}, seed)
    return make(account, {"AvailabilityZone": zone, "Size": gib_from_mib(size), **keys}, born, seed, fresh=token is None)


def make(account: Account, request: Item, born: dict[str, str], seed: str, *, fresh: bool = False) -> DiskCid:
    """A disk by a CreateVolume request, waited for; the same seed gives the same disk.

    fresh: the seed was never used, so that the answer is about this disk and not about one that was deleted since.
    """
    request = {**request, "TagSpecifications": tags.specification(["volume"], born)}
    for generation in range(_GENERATIONS):
        with Undo() as undo:
            answer = _made(account, request, seed, generation, undo)
            if answer is None:
                continue
            disk_cid = DiskCid(answer["VolumeId"])
            undo.push(f"disk {disk_cid}", functools.partial(remove, account, disk_cid))
            if fresh and answer.get("State") == "available":
                return disk_cid
            if wait_until_available(account, disk_cid, fresh=fresh, kms_key=request.get("KmsKeyId")):
                return disk_cid
    raise contract_errors.CloudError(f"the token was used for {_GENERATIONS} disks that are gone: use another")


def wait_until_available(account: Account, disk_cid: DiskCid, *, fresh: bool = False, kms_key: str | None = None) -> bool:
    """False if it was never there: the client token led to one deleted before. Raises CloudError if EBS gave it up."""
    seen = False

    def available() -> str | None:
        nonlocal seen
        try:
            state: str = describe(account, disk_cid)["State"]
        except errors.DiskMissing:
            return "gone"
        seen = True
        return None if state == "creating" else state

    state = account.wait(available, f"the disk {disk_cid} is not available", account.patience.disk_ready)
    if state == "error" or (state == "gone" and (seen or fresh)):
        key = kms_key or "the account's default key for EBS, if the disk is encrypted"
        raise contract_errors.CloudError(
            f"EBS gave up the disk {disk_cid} while making it: check the KMS key and its policy ({key})"
        )
    return state != "gone"


def remove(account: Account, disk_cid: DiskCid) -> None:
    """Delete it; one that is gone is success."""
    with contextlib.suppress(errors.DiskMissing):
        delete(account, disk_cid)


def delete(account: Account, disk_cid: DiskCid) -> None:
    """Delete it and see it gone. Raises DiskNotFound; CloudError naming the VM that has it."""

    def begun() -> bool:
        try:
            account.client.call("DeleteVolume", VolumeId=str(disk_cid))
        except errors.DiskMissing as error:
            if not error.after_lost_answer:
                raise
        except errors.Refused as error:
            if error.code not in ("VolumeInUse", "IncorrectState"):
                raise
            raise_unless_leaving(account, disk_cid, error)
            return False
        return True

    account.wait(begun, f"the disk {disk_cid} stays in use", account.patience.disk_detached)
    account.wait(lambda: not exists(account, disk_cid), f"the disk {disk_cid} is not gone", account.patience.disk_ready)


def raise_unless_leaving(account: Account, disk_cid: DiskCid, error: errors.Refused) -> None:
    """A disk that is being detached, or whose VM is going, will be free soon; one that is attached will not."""
    for attachment in describe(account, disk_cid).get("Attachments", []):
        holder = VmCid(attachment["InstanceId"])
        if attachment.get("State") in ("attached", "attaching", "busy") and inventory.is_alive(account, holder):
            raise errors.Refused(
                f"the disk {disk_cid} is attached to {holder} as {attachment.get('Device')}: detach it first"
            ) from error


def set_metadata(account: Account, disk_cid: DiskCid, metadata: Metadata) -> None:
    """Tags, and the tag Name from them."""
    present = tags.from_pairs(describe(account, disk_cid).get("Tags"))
    tags.put(account, [str(disk_cid)], metadata, present)


def metadata(account: Account, disk_cid: DiskCid) -> dict[str, str]:
    """Its tags."""
    return tags.from_pairs(describe(account, disk_cid).get("Tags"))


def _made(account: Account, request: Item, seed: str, generation: int, undo: Undo) -> Item | None:
    """None if the client token led to a disk of other parameters that is gone."""
    client_token = hashlib.sha256(f"{seed}\0disk\0{generation}".encode()).hexdigest()
    try:
        return account.client.call("CreateVolume", ClientToken=client_token, **request)
    except contract_errors.Error as error:
        if isinstance(error, errors.Refused) and error.code == "IdempotentParameterMismatch":
            return _made_otherwise(account, seed)
        if isinstance(error, errors.AnswerLost):
            undo.push("a disk whose making was not answered", lambda: _remove_unanswered(account, seed))
        raise
    except BaseException:  # the process is being ended between the call and its answer
        undo.push("a disk whose making was not answered", lambda: _remove_unanswered(account, seed))
        raise


def _made_otherwise(account: Account, seed: str) -> Item | None:
    """The disk of an earlier call: its tags name the request that made it, so the parameters of a repeat differ."""
    filters = [tags.with_tag(tags.TOKEN, seed), {"Name": "status", "Values": ["creating", "available", "in-use"]}]
    found: list[Item] = account.client.call("DescribeVolumes", Filters=filters)["Volumes"]
    return found[0] if found else None


def _remove_unanswered(account: Account, seed: str) -> None:
    for item in account.client.call("DescribeVolumes", Filters=[tags.with_tag(tags.TOKEN, seed)])["Volumes"]:
        remove(account, DiskCid(item["VolumeId"]))


def _zone(account: Account, properties: DiskProperties, vm_cid: VmCid | None) -> str:
    if vm_cid:
        zone: str = inventory.describe_living(account, vm_cid)["Placement"]["AvailabilityZone"]
        return zone
    if properties.availability_zone:
        return properties.availability_zone
    filters = [{"Name": "state", "Values": ["available"]}]
    found = account.client.call("DescribeAvailabilityZones", Filters=filters)["AvailabilityZones"]
    zones = sorted(item["ZoneName"] for item in found if item.get("ZoneType", "availability-zone") == "availability-zone")
    if not zones:
        raise contract_errors.CloudError(f"no availability zone of {account.settings.signing_region} is available")
    first: str = zones[0]
    return first
