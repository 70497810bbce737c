"""Stemcells: light ones name images that exist, heavy ones are uploaded."""

import hashlib
import logging
import uuid
from pathlib import Path
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.ids import SnapshotCid, StemcellCid
from cpi.contract.model import CloudProperties, Metadata
from cpi.kit.settings import STEMCELL_KEYS, read_cloud_properties
from cpi.kit.undo import Undo
from cpi_drivers.aws import tags
from cpi_drivers.aws.api import errors
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.disks import snapshots
from cpi_drivers.aws.properties import StemcellProperties
from cpi_drivers.aws.stemcells.upload import upload

_log = logging.getLogger(__name__)

Item = dict[str, Any]

LIGHT: Final = " light"
_MISSING: Final = frozenset({"InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "InvalidAMIID.Unavailable"})


def create(account: Account, image_path: str, cloud_properties: CloudProperties, env_tags: Metadata) -> StemcellCid:
    """A stemcell that VMs can be made of at once."""
    properties = read_cloud_properties(
        StemcellProperties, cloud_properties, strict=account.config.strict_properties, ignored_keys=STEMCELL_KEYS
    )
    if not Path(image_path).is_file():
        raise contract_errors.CpiError(f"the stemcell's image {image_path} is no file that can be read")
    if properties.ami is not None:
        return _light(account, properties, env_tags)
    return _heavy(account, image_path, properties, env_tags)


def delete(account: Account, stemcell_cid: StemcellCid) -> None:
    """A light one stays: it is not ours. One that is gone is success."""
    if stemcell_cid.endswith(LIGHT):
        return
    try:
        found: list[Item] = account.client.call("DescribeImages", ImageIds=[str(stemcell_cid)])["Images"]
    except errors.Refused as error:
        if error.code not in _MISSING:
            raise
        found = []
    for item in found:
        _deregister(account, stemcell_cid)
        for snapshot_cid in snapshots_of(item):
            snapshots.delete(account, snapshot_cid)


def _deregister(account: Account, stemcell_cid: StemcellCid) -> None:
    try:
        account.client.call("DeregisterImage", ImageId=str(stemcell_cid))
    except errors.Refused as error:
        if error.code not in _MISSING:
            raise
    account.wait(lambda: _is_gone(account, stemcell_cid), f"the stemcell {stemcell_cid} is not gone", account.patience.stemcell)


def _light(account: Account, properties: StemcellProperties, env_tags: Metadata) -> StemcellCid:
    amis, here = properties.ami or {}, account.settings.signing_region
    if not amis:
        raise contract_errors.CpiError("the light stemcell names no AMI: cloud_properties.ami is empty")
    encrypted = account.settings.encrypted if properties.encrypted is None else properties.encrypted
    if here in amis and not encrypted:
        account.facts.root_disk(amis[here])
        return StemcellCid(f"{amis[here]}{LIGHT}")
    source = here if here in amis else _nearest(amis, here)
    _log.info("copying %s from %s to %s%s", amis[source], source, here, ", encrypted" if encrypted else "")
    return _copied(account, amis[source], source, properties, env_tags, encrypted=encrypted)


def _nearest(amis: dict[str, str], here: str) -> str:
    """The region whose name has most in common with this one: us-west-2 for us-west-1."""
    return max(sorted(amis), key=lambda region: sum(part in here.split("-") for part in region.split("-")))


def _copied(
    account: Account, ami: str, source: str, properties: StemcellProperties, env_tags: Metadata, *, encrypted: bool
) -> StemcellCid:
    name = _image_name(properties, f"{source}/{ami}/{encrypted}")
    request: Item = {"Name": name, "SourceImageId": ami, "SourceRegion": source, "Description": f"{ami} of {source}"}
    request["TagSpecifications"] = tags.specification(["image", "snapshot"], _tags(account, properties, env_tags))
    if encrypted:
        key = properties.kms_key_arn or account.settings.kms_key_arn
        request |= {"Encrypted": True, **({"KmsKeyId": key} if key else {})}
    with Undo() as undo:
        answer = account.client.call("CopyImage", ClientToken=uuid.uuid4().hex, **request)
        stemcell_cid = StemcellCid(answer["ImageId"])
        undo.push(f"stemcell {stemcell_cid}", lambda: delete(account, stemcell_cid))
        _wait_until_available(account, stemcell_cid)
    return stemcell_cid


def _heavy(account: Account, image_path: str, properties: StemcellProperties, env_tags: Metadata) -> StemcellCid:
    born = _tags(account, properties, env_tags)
    root = properties.root_device_name or ("/dev/sda1" if properties.virtualization_type == "paravirtual" else "/dev/xvda")
    with Undo() as undo:
        snapshot_cid = upload(account, image_path, properties, born, undo)
        snapshots.wait_until_complete(account, snapshot_cid)
        stemcell_cid = _registered(account, properties, root, snapshot_cid, born)
        undo.push(f"stemcell {stemcell_cid}", lambda: _deregister(account, stemcell_cid))
        _wait_until_available(account, stemcell_cid)
    return stemcell_cid


def _registered(
    account: Account, properties: StemcellProperties, root: str, snapshot_cid: SnapshotCid, born: dict[str, str]
) -> StemcellCid:
    disk = {"DeviceName": root, "Ebs": {"SnapshotId": str(snapshot_cid), "DeleteOnTermination": True}}
    request: Item = {
        "Name": _image_name(properties, str(snapshot_cid)),
        "Architecture": properties.architecture,
        "RootDeviceName": root,
        "VirtualizationType": properties.virtualization_type,
        "BlockDeviceMappings": [disk],
        "TagSpecifications": tags.specification(["image"], born),
    }
    by_uefi = properties.architecture == "arm64" or properties.tpm_support
    usual = "uefi" if by_uefi else "legacy-bios"
    if properties.tpm_support:
        request["TpmSupport"] = properties.tpm_support
    if properties.virtualization_type == "hvm":
        request |= {"EnaSupport": True, "SriovNetSupport": "simple", "BootMode": properties.boot_mode or usual}
    elif properties.kernel_id:
        request["KernelId"] = properties.kernel_id
    try:
        return StemcellCid(account.client.call("RegisterImage", **request)["ImageId"])
    except errors.Refused as error:
        if error.code != "InvalidAMIName.Duplicate" or not error.after_lost_answer:
            raise
        # The name holds the snapshot's id: an attempt without an answer registered it.
        filters = [{"Name": "name", "Values": [request["Name"]]}]
        return StemcellCid(account.client.call("DescribeImages", Owners=["self"], Filters=filters)["Images"][0]["ImageId"])


def _wait_until_available(account: Account, stemcell_cid: StemcellCid) -> None:
    def available() -> bool:
        try:
            item = account.client.call("DescribeImages", ImageIds=[str(stemcell_cid)])["Images"][0]
        except (IndexError, errors.Refused) as error:
            if isinstance(error, errors.Refused) and error.code not in _MISSING:
                raise
            return False
        if item.get("State") in ("failed", "error", "invalid", "deregistered"):
            reason = item.get("StateReason", {}).get("Message") or "no reason given"
            raise contract_errors.CloudError(f"AWS could not make the stemcell {stemcell_cid}: {reason}")
        return bool(item.get("State") == "available")

    account.wait(available, f"the stemcell {stemcell_cid} is not available", account.patience.stemcell)


def _is_gone(account: Account, stemcell_cid: StemcellCid) -> bool:
    try:
        return not [
            item
            for item in account.client.call("DescribeImages", ImageIds=[str(stemcell_cid)])["Images"]
            if item.get("State") != "deregistered"
        ]
    except errors.Refused as error:
        if error.code not in _MISSING:
            raise
        return True


def snapshots_of(item: Item) -> list[SnapshotCid]:
    """Those that an image is made of."""
    found = [mapping.get("Ebs", {}).get("SnapshotId") for mapping in item.get("BlockDeviceMappings", [])]
    return [SnapshotCid(one) for one in found if one]


def _tags(account: Account, properties: StemcellProperties, env_tags: Metadata) -> dict[str, str]:
    name = {"Name": f"{properties.name}/{properties.version}"} if properties.name else {}
    facts = {"name": properties.name, "version": properties.version}
    return tags.initial_tags(account, {**name, **facts, **properties.tags, **env_tags})


def _image_name(properties: StemcellProperties, unique: str) -> str:
    """3 to 128 characters of a small alphabet, unique in the region."""
    known = f"BOSH {properties.name or 'stemcell'} {properties.version or ''}".strip()
    short = hashlib.sha256(f"{unique}{uuid.uuid4()}".encode()).hexdigest()[:20]
    return "".join(letter if letter.isalnum() or letter in " ().-/_" else "-" for letter in known)[:100] + f" {short}"
