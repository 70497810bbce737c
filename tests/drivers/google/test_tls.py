"""Google is believed only with a certificate that the configured authority signed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.ids import DiskCid
from fixtures.certificates import Authority
from fixtures.clouds.google.lab import service_account_key
from fixtures.clouds.google.world import PROJECT
from fixtures.proxy import Answer, Request
from fixtures.web_server import web_server

_DISK = DiskCid(f"disk-{'0' * 24}-europe-west1-b")


def _nothing_here(_: Request) -> Answer:
    """As Google answers for a disk that is not there."""
    body = json.dumps({"error": {"code": 404, "message": "x", "errors": [{"reason": "notFound"}]}}).encode()
    return Answer(404, body, {"Content-Type": "application/json"})


@pytest.fixture(scope="module")
def authority() -> Authority:
    """The operator's own."""
    return Authority()


@pytest.fixture(scope="module")
def url(authority: Authority) -> Iterator[str]:
    """An endpoint whose certificate the authority signed."""
    with web_server(_nothing_here, authority) as found:
        yield found


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the driver keeps the authority's certificate."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def _has_disk(url: str, **own: object) -> bool:
    key = json.dumps(service_account_key(url))
    block = {"project": PROJECT, "json_key": key, "endpoints": {"compute": url}, "max_retries": 0, **own}
    with cpi.connect({"cloud": {"plugin": "google", "properties": {"google": block}}}) as cloud:
        return cloud.has_disk(_DISK)


def test_the_configured_authority_is_trusted(url: str, authority: Authority) -> None:
    """A private endpoint behind the operator's own authority."""
    assert _has_disk(url, connection_options={"ca_cert": authority.certificate}) is False


@pytest.mark.parametrize("other", [True, False], ids=["another authority", "none"])
def test_nobody_else_is(url: str, other: bool) -> None:  # noqa: FBT001 - pytest
    """No answer of theirs counts: not even that a disk is missing."""
    own = {"connection_options": {"ca_cert": Authority().certificate}} if other else {}
    with pytest.raises(errors.CloudError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        _has_disk(url, **own)
    assert not isinstance(caught.value, errors.DiskNotFound)
