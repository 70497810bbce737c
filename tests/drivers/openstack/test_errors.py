"""What services say when they refuse."""

import json

import pytest

from cpi.contract import errors
from cpi_drivers.openstack.api.client import segment
from cpi_drivers.openstack.api.errors import Conflicting, Missing, Refused, refusal, words_of


@pytest.mark.parametrize(
    "body",
    [
        {"badRequest": {"code": 400, "message": "no such flavour"}},
        {"NeutronError": {"type": "PortInUse", "message": "no such flavour", "detail": ""}},
        {"error": {"code": 400, "title": "Bad Request", "message": "no such flavour"}},
        {"faultcode": "Client", "faultstring": "no such flavour", "debuginfo": None},
        {"errors": [{"status": 400, "title": "Bad", "detail": "no such flavour"}]},
    ],
)
def test_every_service_wraps_its_words_in_its_own_way(body: object) -> None:
    """Nova and Cinder, Neutron, Keystone, Octavia, Placement."""
    assert words_of(json.dumps(body).encode()) == "no such flavour"


def test_pages_of_html_are_told_without_their_tags() -> None:
    """Glance, and every proxy on the way."""
    page = b"<html><head><title>413</title></head><body><h1>413</h1>Too\n large: &#x27;x&#x27;</body></html>"
    assert words_of(page) == "Too large: 'x'"


def test_words_are_cut_and_hold_no_secret() -> None:
    """A message goes to the director's log."""
    said = words_of(b"x" * 5000)
    assert len(said) <= 500
    assert "secret-word" not in words_of(b"at https://user:secret-word@host/")


@pytest.mark.parametrize(("status", "kind"), [(404, Missing), (409, Conflicting), (400, Refused), (403, Refused)])
def test_refusals_are_told_apart_by_status(status: int, kind: type[Refused]) -> None:
    """And are CloudErrors on the wire."""
    error = refusal("GET compute/servers/x", status, "why")
    assert type(error) is kind
    assert error.wire_name == errors.CloudError.wire_name
    assert "GET compute/servers/x was refused: " in error.message


@pytest.mark.parametrize(
    "said", ["Quota exceeded for instances", "VolumeLimitExceeded: Maximum number of volumes allowed (10) exceeded"]
)
def test_quota_is_told_from_capacity(said: str) -> None:
    """One is mended by a request to the cloud's owner, the other by a repeat."""
    assert refusal("POST x", 403, said).is_quota
    assert refusal("POST x", 413, said).is_quota
    assert not refusal("POST x", 400, said).is_quota
    assert not refusal("POST x", 403, "Policy doesn't allow it").is_quota


@pytest.mark.parametrize("cid", ["../x", "a b", "ü", "", "..", "a/b", "a?b"])
def test_what_can_be_no_id_is_missing_without_a_call(cid: str) -> None:
    """A path must not lead elsewhere."""
    with pytest.raises(Missing):
        segment(cid)
