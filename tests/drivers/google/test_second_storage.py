"""Heavy stemcells against another fake of Cloud Storage, by other people: our upload does not only please our own."""

import hashlib
import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import cpi
from cpi.contract import errors
from fixtures.clouds.google.images_to_upload import packed_image
from fixtures.clouds.google.lab import Lab
from fixtures.clouds.google.second_storage import second_storage
from fixtures.proxy import Answer, Proxy, Request, Rule, effects, naming

_CHUNK = 256 * 1024


@pytest.fixture
def storage() -> Iterator[Proxy]:
    """The other fake, with faults to be had in front of it."""
    with second_storage() as url, Proxy(url, naming.google) as proxy:
        yield proxy


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of several chunks."""
    monkeypatch.setattr("cpi_drivers.google.api.client._CHUNK", _CHUNK)
    return packed_image(tmp_path / "image", content=os.urandom(900 * 1024))


def _create_stemcell(google: Lab, storage: Proxy, image: Path) -> None:
    """Compute Engine is our fake, and does not know of the other's objects: it gives the import up."""
    config = google.config()
    config["cloud"]["properties"]["google"]["endpoints"]["storage"] = storage.url
    with cpi.connect(config) as cloud:
        cloud.create_stemcell(str(image), {}, {})


def _buckets(storage: Proxy) -> list[str]:
    with urllib.request.urlopen(f"{storage.url}/storage/v1/b", timeout=30) as answer:  # noqa: S310 - loopback
        return [one["name"] for one in json.load(answer).get("items", [])]


def test_an_upload_in_chunks_arrives_whole_and_goes_again(google: Lab, storage: Proxy, image: Path) -> None:
    """One chunk was lost on its way. When the image is to be imported, the object is the file."""
    arrived: list[str] = []

    def look(request: Request) -> Answer | None:
        bucket = json.loads(request.body)["rawDisk"]["source"].split("/")[-2]
        url = f"{storage.url}/storage/v1/b/{bucket}/o/stemcell.tar.gz?alt=media"
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - loopback
            arrived.append(hashlib.sha256(answer.read()).hexdigest())
        return None

    google.proxy.inject(Rule("POST images", effects.decided(look)))
    lost = Rule("PUT *", effects.reset(), skip=1, times=1)
    storage.inject(lost)
    with pytest.raises(errors.CloudError, match="RESOURCE_NOT_FOUND"):
        _create_stemcell(google, storage, image)
    assert arrived == [hashlib.sha256(image.read_bytes()).hexdigest()]
    assert lost.met == 1
    assert _buckets(storage) == []


def test_an_upload_that_storage_cuts_short_is_noticed(google: Lab, storage: Proxy, image: Path) -> None:
    """After a 503 the other fake ends an upload with what it has, and calls it done: no image is made of that."""
    storage.inject(Rule("PUT *", effects.answer(503, b"{}"), skip=2, times=1))
    with pytest.raises(errors.CloudError, match=r"stemcell\.tar\.gz \d+ of \d+ bytes arrived"):
        _create_stemcell(google, storage, image)
    assert "POST images" not in google.proxy.counts()
    assert _buckets(storage) == []
