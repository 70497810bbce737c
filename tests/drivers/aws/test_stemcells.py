"""Stemcells: light ones named or copied, heavy ones uploaded block by block."""

import base64
import concurrent.futures
import gzip
import hashlib
import io
import os
import tarfile
import threading
from pathlib import Path

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from fixtures.clouds.aws.answers import json_refusal
from fixtures.clouds.aws.images import bootable_image
from fixtures.clouds.aws.lab import Lab
from fixtures.proxy import Request, Rule, effects
from fixtures.proxy.exchange import Answer

_BLOCK = 512 * 1024


def _packed(path: Path, image: Path, kind: str) -> Path:
    if kind == "gzip":
        path.write_bytes(gzip.compress(image.read_bytes()))
    elif kind == "tar.gz":
        with tarfile.open(path, "w:gz") as archive:
            archive.add(image, "root.img")
    else:
        path.write_bytes(image.read_bytes())
    return path


@pytest.mark.parametrize("kind", ["raw", "gzip", "tar.gz"])
def test_only_blocks_that_hold_something_are_uploaded_and_all_are_checked(
    aws: Lab, cloud: Cloud, tmp_path: Path, kind: str
) -> None:
    """Three of eight; EBS is given a checksum of each and of the whole."""
    image = bootable_image(tmp_path / "raw.img")
    path = _packed(tmp_path / "image", image, kind)
    stemcell_cid = cloud.create_stemcell(str(path), {"name": "tiny", "version": "7", "disk": 3000}, {"team": "blue"})
    puts = [call.request for call in aws.proxy.calls if call.action == "PutSnapshotBlock"]
    content = image.read_bytes()
    sent = {int(request.path.rpartition("/")[2]): request for request in puts}
    assert sorted(sent) == [0, 2, 7]
    digests = {}
    for index, request in sent.items():
        block = content[index * _BLOCK : (index + 1) * _BLOCK]
        assert request.body == block
        digests[index] = hashlib.sha256(block).digest()
        assert request.headers["x-amz-Checksum"] == base64.b64encode(digests[index]).decode()
    complete = next(call.request for call in aws.proxy.calls if call.action == "CompleteSnapshot")
    whole = hashlib.sha256(b"".join(digests[index] for index in sorted(digests))).digest()
    assert complete.headers["x-amz-Checksum"] == base64.b64encode(whole).decode()
    assert complete.headers["x-amz-ChangedBlocksCount"] == "3"
    assert aws.snapshots()[0]["VolumeSize"] == 3
    assert aws.tags(stemcell_cid)["team"] == "blue"
    assert aws.tags(aws.snapshots()[0]["SnapshotId"])["team"] == "blue"


@pytest.mark.parametrize(
    ("properties", "wanted"),
    [
        ({}, {"RootDeviceName": "/dev/xvda", "EnaSupport": "true", "SriovNetSupport": "simple", "BootMode": "legacy-bios"}),
        ({"architecture": "arm64"}, {"BootMode": "uefi", "Architecture": "arm64"}),
        ({"tpm_support": "v2.0"}, {"BootMode": "uefi", "TpmSupport": "v2.0"}),
        (
            {"virtualization_type": "paravirtual", "kernel_id": "aki-1"},
            {"RootDeviceName": "/dev/sda1", "KernelId": "aki-1", "EnaSupport": None, "BootMode": None},
        ),
    ],
)
def test_an_image_is_registered_as_its_manifest_says(
    aws: Lab, cloud: Cloud, tmp_path: Path, properties: dict[str, object], wanted: dict[str, str | None]
) -> None:
    """With the drivers of every Nitro VM where it can have them."""
    cloud.create_stemcell(str(bootable_image(tmp_path / "image")), {"disk": 1024, **properties}, {})
    form = next(call.request.form for call in aws.proxy.calls if call.action == "RegisterImage")
    assert {key: form.get(key) for key in wanted} == wanted


def test_an_upload_that_was_killed_goes_on_where_it_was(aws: Lab, cloud: Cloud, tmp_path: Path) -> None:
    """The journal remembers what arrived; nothing is uploaded twice, and one snapshot remains."""
    image = bootable_image(tmp_path / "image")

    class Killed(BaseException):
        pass

    rule = Rule("CompleteSnapshot", effects.decided(lambda _: json_refusal("ValidationException")))
    aws.proxy.inject(rule)

    def killed(*_: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cpi_drivers.aws.stemcells.upload._complete", killed)
        patch.setattr("cpi_drivers.aws.stemcells.upload._forget", lambda *_: None)
        with pytest.raises(Killed):
            cloud.create_stemcell(str(image), {"disk": 1024}, {})
    aws.proxy.withdraw(rule)
    begun = [item["SnapshotId"] for item in aws.snapshots()]
    _pending(aws)
    aws.proxy.forget_calls()
    cloud.create_stemcell(str(image), {"disk": 1024}, {})
    counts = aws.proxy.counts()
    assert (counts["StartSnapshot"], counts["PutSnapshotBlock"], counts["CompleteSnapshot"]) == (0, 0, 1)
    assert [item["SnapshotId"] for item in aws.snapshots()] == begun


def test_two_uploads_of_one_image_at_once_do_not_share_a_snapshot(aws: Lab, cloud: Cloud, tmp_path: Path) -> None:
    """The one that fails would remove what the other registers."""
    image = bootable_image(tmp_path / "image")
    first_put, both_there = threading.Event(), threading.Event()
    _pending(aws)

    def hold(_: Request) -> None:
        if not first_put.is_set():
            first_put.set()
            both_there.wait(20)

    aws.proxy.inject(Rule("PutSnapshotBlock", effects.decided(hold)))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(cloud.create_stemcell, str(image), {"disk": 1024}, {})
        assert first_put.wait(20)
        with cpi.connect(aws.config()) as another:
            second = another.create_stemcell(str(image), {"disk": 1024}, {})
        both_there.set()
        assert first.result() != second
    assert len({item["SnapshotId"] for item in aws.snapshots()}) == 2


def _pending(aws: Lab) -> None:
    """moto calls a snapshot completed from the start; EBS only once it is told."""
    completed = []

    def told(request: Request, answer: Answer) -> Answer:
        if request.action == "CompleteSnapshot":
            completed.append(request)
        body = answer.body if completed else answer.body.replace(b"<status>completed<", b"<status>pending<")
        return Answer(answer.status, body, answer.headers)

    aws.proxy.inject(Rule("CompleteSnapshot", effects.rewritten(told)), Rule("DescribeSnapshots", effects.rewritten(told)))


def test_a_changed_image_is_not_mixed_with_the_old_one(cloud: Cloud, tmp_path: Path) -> None:
    """The journal belongs to one image."""
    from cpi_drivers.aws.stemcells.upload import _journal_path

    image = bootable_image(tmp_path / "image")
    first = _journal_path(cloud._account, str(image))  # type: ignore[attr-defined]  # what the driver itself would use
    bootable_image(image, mib=5)
    assert _journal_path(cloud._account, str(image)) != first  # type: ignore[attr-defined]  # as above


@pytest.mark.parametrize(
    ("content", "properties", "fault"),
    [
        (b"", {}, "is empty, and cloud_properties.ami is missing"),
        (b"no image" * 100, {}, "no boot sector"),
        (gzip.compress(os.urandom(5000))[:400], {}, "damaged|cannot be read"),
    ],
    ids=["empty", "nonsense", "cut off"],
)
def test_what_is_no_image_is_refused_before_any_call(
    aws: Lab, cloud: Cloud, tmp_path: Path, content: bytes, properties: dict[str, object], fault: str
) -> None:
    """With what it is instead."""
    (tmp_path / "image").write_bytes(content)
    with pytest.raises(errors.CpiError, match=fault):
        cloud.create_stemcell(str(tmp_path / "image"), properties, {})
    assert aws.proxy.counts() == {}


def test_an_archive_without_an_image_is_refused(cloud: Cloud, tmp_path: Path) -> None:
    """A tar of something else."""
    with tarfile.open(tmp_path / "image", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("notes.txt"), io.BytesIO())
    with pytest.raises(errors.CpiError, match=r"without root\.img"):
        cloud.create_stemcell(str(tmp_path / "image"), {}, {})


def test_a_light_stemcell_of_the_region_is_named_and_never_deleted(aws: Lab, cloud: Cloud, tmp_path: Path) -> None:
    """It is somebody else's."""
    (tmp_path / "image").touch()
    ami = aws.make_ami()
    stemcell_cid = cloud.create_stemcell(str(tmp_path / "image"), {"ami": {"eu-west-1": ami, "us-east-1": "ami-x"}}, {})
    assert stemcell_cid == f"{ami} light"
    cloud.delete_stemcell(stemcell_cid)
    assert [image["ImageId"] for image in aws.images()] == [ami]


def test_a_light_stemcell_of_other_regions_is_copied_from_the_nearest(aws: Lab, cloud: Cloud, tmp_path: Path) -> None:
    """The copy is ours: a plain CID, deleted with its snapshot."""
    (tmp_path / "image").touch()
    ami = aws.make_ami()
    asked = []

    def from_here(request: Request) -> None:
        asked.append(dict(request.form))

    aws.proxy.inject(Rule("CopyImage", effects.decided(from_here)))
    with pytest.raises(errors.CloudError):
        cloud.create_stemcell(
            str(tmp_path / "image"), {"ami": {"us-east-1": "ami-12345678", "eu-central-1": ami}}, {"team": "blue"}
        )
    assert asked[0]["SourceRegion"] == "eu-central-1"
    assert asked[0]["SourceImageId"] == ami
    assert "Encrypted" not in asked[0]


def test_an_encrypted_light_stemcell_is_copied_inside_the_region(aws: Lab, cloud: Cloud, tmp_path: Path) -> None:
    """With the key that is asked for."""
    (tmp_path / "image").touch()
    asked = []

    def keep(request: Request) -> None:
        asked.append(dict(request.form))

    aws.proxy.inject(Rule("CopyImage", effects.decided(keep)))
    properties = {"ami": {"eu-west-1": aws.make_ami()}, "encrypted": True, "kms_key_arn": "arn:key"}
    stemcell_cid = cloud.create_stemcell(str(tmp_path / "image"), properties, {})
    assert " light" not in stemcell_cid
    assert (asked[0]["Encrypted"], asked[0]["KmsKeyId"]) == ("true", "arn:key")


def test_a_light_stemcell_whose_image_is_not_there_is_refused(cloud: Cloud, tmp_path: Path) -> None:
    """At once, not at the first VM."""
    (tmp_path / "image").touch()
    with pytest.raises(errors.CloudError, match="ami-00000000000000000"):
        cloud.create_stemcell(str(tmp_path / "image"), {"ami": {"eu-west-1": "ami-00000000000000000"}}, {})
