"""Stemcells in a real Glance, beyond what the contract asks for."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import StemcellCid
from fixtures.clouds.openstack.lab import Lab
from fixtures.proxy import Answer, Request, Rule, effects

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("census_kept")]

RAW = {"name": "tiny", "version": "2", "disk_format": "raw", "architecture": "x86_64"}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def shelf(image_path: str) -> Iterator[str]:
    """A web server with the image; its URL."""
    handler = functools.partial(_Quiet, directory=str(Path(image_path).parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{Path(image_path).name}"
        server.shutdown()
        thread.join()


def test_a_light_stemcell_is_an_image_that_is_there_and_stays(project: Lab, cloud: Cloud, stemcell_cid: StemcellCid) -> None:
    """Its CID is that of the official CPIs."""
    light = cloud.create_stemcell("", {"image_id": str(stemcell_cid)}, {})
    assert light == f"{stemcell_cid} light"
    cloud.delete_stemcell(light)
    assert project.sdk.image.find_image(stemcell_cid) is not None


def test_a_light_stemcell_of_nothing_is_refused(cloud: Cloud) -> None:
    """Before a VM fails for it."""
    with pytest.raises(errors.CloudError, match="does not exist"):
        cloud.create_stemcell("", {"image_id": "6f1a1d0e-0000-4000-8000-000000000000"}, {})


def test_the_image_service_downloads_where_it_offers_that(project: Lab, cloud: Cloud, shelf: str, image_path: str) -> None:
    """web-download: the bytes never come by here."""
    cid = cloud.create_stemcell("", {**RAW, "source_url": shelf}, {"team": "blue"})
    image = project.sdk.image.get_image(cid)
    assert (image.status, image.size) == ("active", Path(image_path).stat().st_size)
    cloud.delete_stemcell(cid)


def test_a_cloud_that_does_not_download_says_what_it_offers(project: Lab, cloud: Cloud, shelf: str) -> None:
    """And nothing is left."""
    offer = effects.answer(200, b'{"import-methods": {"value": ["glance-direct"]}}', {"Content-Type": "application/json"})
    with (
        project.rule("glance", Rule("GET /v2/info/import", offer)),
        pytest.raises(errors.CpiError, match="it offers: glance-direct"),
    ):
        cloud.create_stemcell("", {**RAW, "source_url": shelf}, {})


def test_a_download_that_fails_says_from_where(cloud: Cloud) -> None:
    """And shows no password of the URL."""
    with pytest.raises(errors.CloudError, match="could not download") as caught:
        cloud.create_stemcell("", {**RAW, "source_url": "http://user:secret-word@127.0.0.1:9/image"}, {})
    assert "127.0.0.1:9/image" in caught.value.message
    assert "secret-word" not in caught.value.message


def test_an_image_that_arrived_otherwise_than_it_was_sent_is_removed(project: Lab, cloud: Cloud, image_path: str) -> None:
    """By the hash that Glance took of it."""

    def spoilt(_: Request, answer: Answer) -> Answer:
        return Answer(answer.status, answer.body.replace(b'"os_hash_value": "', b'"os_hash_value": "0'), answer.headers)

    rule = Rule("GET /v2/images/{id}", effects.rewritten(spoilt))
    with project.rule("glance", rule), pytest.raises(errors.CloudError, match="is not what was sent: sha512"):
        cloud.create_stemcell(image_path, RAW, {})


def test_an_upload_that_breaks_leaves_nothing(project: Lab, brittle_cloud: Cloud, image_path: str) -> None:
    """It is as large as a disk."""
    rule = Rule("PUT /v2/images/{id}/file", effects.reset(), times=1)
    with project.rule("glance", rule), pytest.raises(errors.CloudError):
        brittle_cloud.create_stemcell(image_path, RAW, {})
    assert rule.met == 1
