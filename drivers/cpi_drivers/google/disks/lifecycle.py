"""Persistent disks: made, found, labelled, deleted."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CloudProperties, Metadata
from cpi.contract.units import MiB, gib_from_mib
from cpi.kit.settings import DISK_KEYS, read_cloud_properties
from cpi.kit.undo import Undo
from cpi_drivers.google import naming, tags
from cpi_drivers.google.api import errors, inventory
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.properties import DiskProperties

Item = dict[str, Any]

_LARGEST_GIB: Final = 65536
_DEFAULT_TYPE: Final = "pd-standard"


def read_properties(account: Account, cloud_properties: CloudProperties) -> DiskProperties:
    """Raises CpiError listing the faults."""
    return read_cloud_properties(
        DiskProperties, cloud_properties, strict=account.config.strict_properties, ignored_keys=DISK_KEYS
    )


def describe(account: Account, disk_cid: DiskCid) -> Item:
    """The disk. Raises DiskNotFound."""
    zone = naming.zone_of_disk(disk_cid)
    if zone:
        with _naming(disk_cid):
            return account.client.call("disks.get", zone=zone, disk=str(disk_cid))
    found = find(account, [disk_cid])
    if not found:
        raise errors.DiskMissing(f"there is no disk {disk_cid}")
    return found[0]


def find(account: Account, disk_cids: list[DiskCid]) -> list[Item]:
    """Those of the disks that exist, wherever they are."""
    wanted = [cid for cid in dict.fromkeys(disk_cids) if naming.is_name(cid)]
    if not wanted:
        return []
    terms = " OR ".join(f'(name = "{cid}")' for cid in wanted)
    return inventory.everywhere(account, "disks", terms)


def exists(account: Account, disk_cid: DiskCid) -> bool:
    """Whether there is such a disk."""
    try:
        return describe(account, disk_cid).get("status") != "DELETING"
    except errors.DiskMissing:
        return False


def zone_of(account: Account, disk_cid: DiskCid) -> str:
    """Raises DiskNotFound; a disk whose name tells its zone is not looked for."""
    return naming.zone_of_disk(disk_cid) or naming.last(describe(account, disk_cid)["zone"])


def create(account: Account, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None, token: str | None) -> DiskCid:
    """A disk in the VM's zone, ready."""
    properties = read_properties(account, cloud_properties)
    if gib_from_mib(size) > _LARGEST_GIB:
        raise errors.NoRoom(f"Google has no disks of {size} MiB: the largest is {_LARGEST_GIB} GiB")
    zone = _zone(account, properties, vm_cid)
    body = {"sizeGb": str(gib_from_mib(size)), **kind(account, zone, properties.type or _DEFAULT_TYPE, properties)}
    born = tags.initial_tags(account, properties.labels, token)
    return make(account, zone, {**body, "labels": born}, token or uuid.uuid4().hex)


def kind(account: Account, zone: str, disk_type: str, properties: DiskProperties) -> Item:
    """Type and speed, as Google takes them."""
    speed = {"provisionedIops": properties.iops, "provisionedThroughput": properties.throughput}
    given = {key: str(value) for key, value in speed.items() if value}
    return {"type": f"projects/{account.project}/zones/{zone}/diskTypes/{disk_type}", **given}


def make(account: Account, zone: str, body: Item, seed: str) -> DiskCid:
    """The same seed gives the same disk: its name comes from it, and so does the request."""
    disk_cid = DiskCid(naming.disk_name(zone, seed))
    body = {**body, "name": str(disk_cid)}
    with Undo() as undo:
        if _made(account, zone, body, naming.request_id("disk", seed, body), undo):
            return disk_cid
        # The request was used before, and what it made is gone.
        if _made(account, zone, body, str(uuid.uuid4()), undo):
            return disk_cid
    raise contract_errors.CloudError(f"Google made {disk_cid} and has no such disk: somebody deletes it at the same time")


def _made(account: Account, zone: str, body: Item, request: str, undo: Undo) -> bool:
    """False if there is no such disk, because the request was answered with what it did long ago."""
    disk_cid = DiskCid(body["name"])

    def ours() -> None:
        undo.push(f"disk {disk_cid}", lambda: remove(account, disk_cid))

    def insert(wanted: Item) -> Item:
        its = request if wanted == body else naming.request_id(request, wanted)
        return beginning(lambda: account.client.call("disks.insert", wanted, zone=zone, requestId=its), ours)

    try:
        told = tags.made(account, "disks", body, insert)
    except errors.Exists:
        return is_ready(account, disk_cid)
    except errors.QuotaReached as error:
        raise errors.NoRoom(error.message) from error
    if told["status"] == "DONE":
        return is_ready(account, disk_cid)
    ours()
    try:
        account.client.finished("disks.insert", told)
    except errors.QuotaReached as error:
        raise errors.NoRoom(error.message) from error
    return True


def beginning(call: Callable[[], Item], ours: Callable[[], None]) -> Item:
    """The operation that call begins. Where its answer is lost, what it may have made is ours to remove."""
    try:
        return call()
    except contract_errors.Error as error:
        if isinstance(error, errors.AnswerLost):
            ours()
        raise
    except BaseException:  # the process is being ended between the call and its answer
        ours()
        raise


def is_ready(account: Account, disk_cid: DiskCid) -> bool:
    """Once it is; False if there is none."""

    def status() -> str | None:
        try:
            found: str = describe(account, disk_cid)["status"]
        except errors.DiskMissing:
            return "GONE"
        return None if found in ("CREATING", "RESTORING") else found

    return account.wait(status, f"the disk {disk_cid} is not ready", account.patience.disk_ready) == "READY"


def remove(account: Account, disk_cid: DiskCid) -> None:
    """Delete it; one that is gone is success."""
    with contextlib.suppress(errors.DiskMissing):
        delete(account, disk_cid)


def delete(account: Account, disk_cid: DiskCid) -> None:
    """Raises DiskNotFound; CloudError naming the VM that has it."""
    if not naming.is_name(disk_cid):
        raise errors.DiskMissing(f"there is no disk {disk_cid}")
    with _naming(disk_cid):
        account.do("disks.delete", zone=zone_of(account, disk_cid), disk=str(disk_cid))


def set_metadata(account: Account, disk_cid: DiskCid, metadata: Metadata) -> None:
    """Labels, added to those that are there."""

    def change() -> None:
        item = describe(account, disk_cid)
        wanted = tags.added(metadata, item.get("labels", {}))
        if wanted == item.get("labels", {}):
            return
        body = {"labels": wanted, "labelFingerprint": item["labelFingerprint"]}
        with _naming(disk_cid):
            account.client.do("disks.setLabels", body, zone=naming.last(item["zone"]), resource=str(disk_cid))

    tags.changed(account, "disks", lambda: account.anew(change))


def metadata(account: Account, disk_cid: DiskCid) -> dict[str, str]:
    """Its labels."""
    return dict(describe(account, disk_cid).get("labels", {}))


def _zone(account: Account, properties: DiskProperties, vm_cid: VmCid | None) -> str:
    if vm_cid:
        return naming.last(inventory.describe_living(account, vm_cid)["zone"])
    zone = properties.zone or account.settings.default_zone
    if zone:
        return zone
    raise contract_errors.CpiError("cloud_properties.zone: is missing; a disk that is made for no VM needs it")


@contextlib.contextmanager
def _naming(disk_cid: DiskCid) -> Iterator[None]:
    """A fault that may be about anything says which disk was meant."""
    try:
        yield
    except errors.Missing as error:
        raise errors.DiskMissing(f"there is no disk {disk_cid}: {error.message}") from error
