"""Stemcells of every kind."""

import json
import logging
import os
from pathlib import Path

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import StemcellCid
from fixtures.clouds.google.images_to_upload import packed_image
from fixtures.clouds.google.lab import Lab
from fixtures.proxy import Answer, Request, Rule, effects
from tests.drivers.google.conftest import Helper, refusal


@pytest.fixture
def light(tmp_path: Path) -> str:
    """The empty image of a light stemcell."""
    (tmp_path / "light").touch()
    return str(tmp_path / "light")


def test_a_light_stemcell_is_the_image_itself(google: Lab, cloud: Cloud, helper: Helper, light: str) -> None:
    """Its CID is its URL; deleting it deletes nothing, since it is not ours."""
    url = google.make_image("their-image", project="another-project")
    helper.stemcell = cloud.create_stemcell(light, {"image_url": url}, {})
    assert helper.stemcell == url
    root = google.see("disks", helper.vm().cid)
    assert root["sourceImage"].endswith("projects/another-project/global/images/their-image")
    cloud.delete_stemcell(helper.stemcell)
    assert google.see("images", "their-image")


def test_a_family_is_its_newest_image(google: Lab, cloud: Cloud, light: str) -> None:
    """All VMs of a deployment are made of the same."""
    google.make_image("old", family="ubuntu")
    newest = google.make_image("new", family="ubuntu")
    url = newest.replace("/images/new", "/images/family/ubuntu")
    assert cloud.create_stemcell(light, {"image_url": url}, {}) == newest


@pytest.mark.parametrize("url", ["an-image", "https://example.com/projects/p/global/disks/d"])
def test_what_is_no_image_url_is_refused(cloud: Cloud, light: str, url: str) -> None:
    """With the form that one has."""
    with pytest.raises(errors.CpiError, match="image_url"):
        cloud.create_stemcell(light, {"image_url": url}, {})


def test_a_light_stemcell_that_does_not_exist_is_told(cloud: Cloud, light: str) -> None:
    """Before a VM is made of it."""
    with pytest.raises(errors.CloudError, match="never-was"):
        cloud.create_stemcell(light, {"image_url": "projects/a-project/global/images/never-was"}, {})


def test_a_heavy_stemcell_passes_through_a_private_bucket(google: Lab, cloud: Cloud, image: str) -> None:
    """Nobody else can read it, and it is gone afterwards; the image has the features of new machine types."""
    properties = {"name": "bosh-google", "version": "1.2", "architecture": "arm64", "labels": {"team": "blue"}}
    stemcell_cid = cloud.create_stemcell(image, properties, {})
    made = google.see("images", stemcell_cid)
    assert {one["type"] for one in made["guestOsFeatures"]} >= {"UEFI_COMPATIBLE", "GVNIC", "MULTI_IP_SUBNET"}
    assert made["architecture"] == "ARM64"
    assert (made["labels"]["team"], made["labels"]["version"]) == ("blue", "1-2")
    bucket = next(call for call in google.proxy.calls if call.request.path.endswith("/storage/v1/b"))
    assert b'"publicAccessPrevention": "enforced"' in bucket.request.body
    assert b"allUsers" not in b"".join(call.request.body for call in google.proxy.calls if call.request.body[:1] == b"{")
    assert google.census()["buckets"] == google.census()["objects"] == 0


def test_an_upload_that_breaks_off_goes_on_where_it_was(
    google: Lab, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A chunk that was lost is sent again, those before it are not. The log tells how far it is."""
    monkeypatch.setattr("cpi_drivers.google.api.client._CHUNK", 256 * 1024)
    image = packed_image(tmp_path / "large", content=os.urandom(900 * 1024))
    lost = Rule("PUT *", effects.reset(), skip=1, times=1)
    failing = Rule("PUT *", effects.answer(503, b"{}"), skip=3, times=1)
    google.proxy.inject(lost, failing)
    with caplog.at_level(logging.INFO):
        cloud.create_stemcell(str(image), {}, {})
    assert "of 0 MiB uploaded" in caplog.text
    assert (lost.met, failing.met) == (1, 1)
    sent = sum(len(call.request.body) for call in google.proxy.calls if call.request.method == "PUT" and call.status)
    assert sent < 1.5 * image.stat().st_size


def test_an_upload_that_arrives_damaged_is_noticed(google: Lab, cloud: Cloud, image: str) -> None:
    """By the MD5 that Cloud Storage tells; no image is made of it, and nothing is left."""

    def damaged(_: Request, answer: Answer) -> Answer:
        told = {**json.loads(answer.body), "md5Hash": "bm90IHRoaXM="}
        return Answer(answer.status, json.dumps(told).encode(), {"Content-Type": "application/json"})

    google.proxy.inject(Rule("PUT *", effects.rewritten(damaged)))
    before = google.census()
    with pytest.raises(errors.CloudError, match="arrived damaged"):
        cloud.create_stemcell(image, {}, {})
    assert google.census() == before
    assert "POST images" not in google.proxy.counts()


def test_an_image_in_cloud_storage_is_imported_from_there(google: Lab, cloud: Cloud, light: str, image: str) -> None:
    """source_url; a checksum that is wrong is Google's to tell, and leaves nothing."""
    seen: list[str] = []

    def note(request: Request) -> Answer | None:
        seen.append(request.body.decode())
        return None

    google.proxy.inject(Rule("POST images", effects.decided(note)))
    with pytest.raises(errors.CloudError, match="RESOURCE_NOT_FOUND"):
        cloud.create_stemcell(light, {"source_url": "https://storage.googleapis.com/b/o.tar.gz", "raw_disk_sha1": "a" * 40}, {})
    assert f'"sha1Checksum": "{"a" * 40}"' in seen[0]
    assert google.census()["images"] == 0


@pytest.mark.parametrize("content", [b"", b"no tar"])
def test_what_is_no_packed_disk_is_refused_before_anything_is_made(
    google: Lab, cloud: Cloud, tmp_path: Path, content: bytes
) -> None:
    """Google would tell it only after the upload."""
    (tmp_path / "image").write_bytes(content)
    with pytest.raises(errors.CpiError, match="tar packed with gzip"):
        cloud.create_stemcell(str(tmp_path / "image"), {}, {})
    assert google.proxy.counts() == {}


def test_an_import_that_google_gives_up_leaves_nothing(google: Lab, cloud: Cloud, image: str) -> None:
    """Its own reason is told."""
    told = refusal("quotaExceeded", 403, "Quota 'IMAGES' exceeded.")
    google.proxy.inject(Rule("POST images", effects.decided(lambda _: told)))
    before = google.census()
    with pytest.raises(errors.CloudError, match=r"Quota 'IMAGES' exceeded.*raise the quota"):
        cloud.create_stemcell(image, {}, {})
    assert google.census() == before


def test_a_stemcell_of_another_place_is_gone_already(google: Lab) -> None:
    """Deleting one that nobody knows is success."""
    with cpi.connect(google.config()) as cloud:
        cloud.delete_stemcell(StemcellCid("stemcell-that-never-was"))
