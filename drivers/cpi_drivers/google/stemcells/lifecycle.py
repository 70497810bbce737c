"""Stemcells: light ones name images that exist, heavy ones pass through a private bucket."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.ids import StemcellCid
from cpi.contract.model import CloudProperties, Metadata
from cpi.kit.settings import STEMCELL_KEYS, read_cloud_properties
from cpi.kit.undo import Undo
from cpi_drivers.google import naming, tags
from cpi_drivers.google.api import errors
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.properties import StemcellProperties
from cpi_drivers.google.stemcells.image import check_packed_disk

_log = logging.getLogger(__name__)

Item = dict[str, Any]

_FEATURES: Final = ("UEFI_COMPATIBLE", "GVNIC", "MULTI_IP_SUBNET", "VIRTIO_SCSI_MULTIQUEUE")
_ARCHITECTURES: Final = {"x86_64": "X86_64", "arm64": "ARM64"}
_OBJECT: Final = "stemcell.tar.gz"
BUCKET: Final = "multicpi-"
"""How the names of buckets begin that uploads pass through."""


def create(account: Account, image_path: str, cloud_properties: CloudProperties, env_tags: Metadata) -> StemcellCid:
    """A stemcell that VMs can be made of at once."""
    properties = read_cloud_properties(
        StemcellProperties, cloud_properties, strict=account.config.strict_properties, ignored_keys=STEMCELL_KEYS
    )
    if properties.architecture not in _ARCHITECTURES:
        raise contract_errors.CpiError(f"cloud_properties.architecture: {properties.architecture!r} is neither x86_64 nor arm64")
    if not Path(image_path).is_file():
        raise contract_errors.CpiError(f"the stemcell's image {image_path} is no file that can be read")
    if properties.image_url:
        return _light(account, properties.image_url)
    if properties.source_url:
        return _imported(account, properties, env_tags, properties.source_url)
    check_packed_disk(image_path)
    with _in_bucket(account, image_path) as source:
        return _imported(account, properties, env_tags, source)


def delete(account: Account, stemcell_cid: StemcellCid) -> None:
    """A light one stays: it is not ours. One that is gone is success."""
    if not naming.is_name(stemcell_cid):
        return
    try:
        account.do("images.delete", image=str(stemcell_cid))
    except errors.Missing:
        return


def _light(account: Account, url: str) -> StemcellCid:
    """The image itself; of a family the newest, so that all VMs of a deployment are made of the same."""
    found = image_at(account, url)
    if found.get("status", "READY") != "READY":
        raise contract_errors.CloudError(f"the image {url} cannot be used: it is {found['status']}")
    return StemcellCid(found["selfLink"] if "/images/family/" in url else url)


def image_at(account: Account, url: str) -> Item:
    """The image that a URL names, or the newest of the family. Raises CpiError, Missing, Denied."""
    parts = naming.partial(url).split("/")
    if len(parts) not in (5, 6) or parts[0] != "projects" or parts[2:4] != ["global", "images"]:
        raise contract_errors.CpiError(
            f"cloud_properties.image_url: {url!r} is no URL of an image:"
            " …/projects/PROJECT/global/images/NAME, or …/images/family/NAME"
        )
    if parts[4] == "family":
        return account.client.call("images.getFromFamily", project=parts[1], family=parts[5])
    return account.client.call("images.get", project=parts[1], image=parts[4])


def _imported(account: Account, properties: StemcellProperties, env_tags: Metadata, source: str) -> StemcellCid:
    stemcell_cid = StemcellCid(f"stemcell-{uuid.uuid4()}")
    facts = {"name": properties.name, "version": properties.version}
    raw: Item = {"source": source, "containerType": "TAR"}
    if properties.raw_disk_sha1:
        raw["sha1Checksum"] = properties.raw_disk_sha1
    body = {
        "name": str(stemcell_cid),
        "description": f"BOSH {properties.name or 'stemcell'} {properties.version or ''}".strip(),
        "rawDisk": raw,
        "guestOsFeatures": [{"type": feature} for feature in dict.fromkeys([*_FEATURES, *properties.guest_os_features])],
        "architecture": _ARCHITECTURES[properties.architecture],
        "labels": tags.initial_tags(account, {**facts, **properties.labels, **env_tags}),
    }
    with Undo() as undo:
        undo.push(f"stemcell {stemcell_cid}", lambda: delete(account, stemcell_cid))
        told = tags.made(account, "images", body, lambda wanted: account.client.call("images.insert", wanted))
        account.client.finished("images.insert", told, deadline_seconds=account.patience.stemcell)
    return stemcell_cid


@contextmanager
def _in_bucket(account: Account, image_path: str) -> Iterator[str]:
    """The file's URL in a bucket that only this project can read, and that goes when the block ends, however it ends."""
    bucket = f"{BUCKET}{uuid.uuid4().hex}"
    body: Item = {
        "name": bucket,
        "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"},
        "labels": tags.initial_tags(account, {}),
    }
    body |= {"location": account.settings.bucket_location} if account.settings.bucket_location else {}
    undo = Undo()
    try:
        undo.push(f"bucket {bucket}", lambda: _remove_bucket(account, bucket))
        _make_bucket(account, body)
        undo.push(f"object {bucket}/{_OBJECT}", lambda: _remove_object(account, bucket))
        size = Path(image_path).stat().st_size // 1024**2
        told = _Progress(size)
        account.client.upload(bucket, _OBJECT, image_path, told)
        yield f"https://storage.googleapis.com/{bucket}/{_OBJECT}"
    finally:
        undo.roll_back()


class _Progress:
    """Tells the log how far an upload is, at every tenth."""

    def __init__(self, mib: int) -> None:
        self._mib, self._tenth = mib, 0

    def __call__(self, share: float) -> None:
        if int(share * 10) > self._tenth:
            self._tenth = int(share * 10)
            _log.info("stemcell: %d of %d MiB uploaded", share * self._mib, self._mib)


def _make_bucket(account: Account, body: Item) -> None:
    """Storage knows no request ids; nobody else has thought of this name."""
    try:
        account.client.call("storage.buckets.insert", body, project=account.project)
    except errors.Exists:
        return


def remove_bucket(account: Account, bucket: str) -> None:
    """With the upload in it; one that is gone is success."""
    _remove_object(account, bucket)
    _remove_bucket(account, bucket)


def _remove_object(account: Account, bucket: str) -> None:
    try:
        account.client.call("storage.objects.delete", bucket=bucket, object=_OBJECT)
    except errors.Missing:
        return


def _remove_bucket(account: Account, bucket: str) -> None:
    try:
        account.client.call("storage.buckets.delete", bucket=bucket)
    except errors.Missing:
        return
