"""The configuration: every fault of it told at once, and TLS as it says; XML that is no document is refused."""

from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi_drivers.vcloud.api import documents
from fixtures.certificates import Authority
from fixtures.proxy import Answer, Request
from fixtures.web_server import web_server

_AUTHORITY = Authority()
_VERSIONS = (
    b'<SupportedVersions xmlns="http://www.vmware.com/vcloud/versions">'
    b"<VersionInfo><Version>36.0</Version></VersionInfo></SupportedVersions>"
)
_NONE = b'<QueryResultRecords xmlns="http://www.vmware.com/vcloud/v1.5" total="0"/>'
_ABSENT = VmCid("urn:vcloud:vm:00000000-0000-4000-8000-000000000000")
_ENTITIES = {"organization": "o", "virtual_datacenter": "v", "vapp_catalog": "c", "media_catalog": "c"}


def config(tmp_path: Path, **own: Any) -> dict[str, Any]:
    """A document that has no faults but its own."""
    block = {
        "url": "http://127.0.0.1:9",
        "user": "u",
        "password": "a-password",
        "entities": _ENTITIES,
        "cache_folder": str(tmp_path),
        "control": {"retry_max": 1},
        **own,
    }
    return {"cloud": {"plugin": "vcloud", "properties": {"vcd": block}}}


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """With the nearest known name."""
    wrong = {"user": True, "verify_sll": True, "entities": {"organisation": "o"}, "control": {"wait_max": 0}}
    with pytest.raises(errors.CpiError) as caught:
        cpi.connect(config(tmp_path, **wrong))
    for said in (
        "user: Expected `str",
        "did you mean 'verify_ssl'?",
        "did you mean 'organization'?",
        "control.wait_max: Expected",
    ):
        assert said in caught.value.message


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"url": "cloud.example"}, "url: expected https://host"),
        ({"password": None}, "expected user and password, or api_token"),
        ({"user": None, "password": None}, "expected user and password, or api_token"),
    ],
)
def test_what_cannot_be_together_is_told(tmp_path: Path, own: dict[str, Any], said: str) -> None:
    """Before anything is asked."""
    with pytest.raises(errors.CpiError, match=said):
        cpi.connect(config(tmp_path, **own))


@pytest.mark.parametrize("own", [{}, {"api_token": "a-token-of-the-api"}])
def test_secrets_are_never_shown(tmp_path: Path, own: dict[str, str]) -> None:
    """In what an unreachable cloud leads to."""
    with cpi.connect(config(tmp_path, **own)) as cloud, pytest.raises(errors.CloudError) as caught:
        cloud.has_vm(_ABSENT)
    assert "127.0.0.1" in caught.value.message
    assert "a-password" not in caught.value.message
    assert "a-token" not in caught.value.message


@pytest.mark.parametrize(("own", "trusted"), [({}, False), ({"ca_cert": "PEM"}, True), ({"ca_cert": "PATH"}, True)])
def test_certificates_are_looked_at(tmp_path: Path, own: dict[str, str], trusted: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Those of an authority that is named are trusted, and no others."""
    path = tmp_path / "authority.pem"
    path.write_text(_AUTHORITY.certificate)
    values = {"PEM": _AUTHORITY.certificate, "PATH": str(path)}
    given = {key: values[value] for key, value in own.items()}
    with web_server(_no_vm, _AUTHORITY) as url, cpi.connect(config(tmp_path, url=url, **given)) as cloud:
        if trusted:
            assert cloud.has_vm(_ABSENT) is False
        else:
            with pytest.raises(errors.CloudError, match="is not trusted"):
                cloud.has_vm(_ABSENT)


def test_certificates_are_not_looked_at_if_that_is_written(tmp_path: Path) -> None:
    """By the operator."""
    with web_server(_no_vm, _AUTHORITY) as url, cpi.connect(config(tmp_path, url=url, verify_ssl=False)) as cloud:
        assert cloud.has_vm(_ABSENT) is False


def test_certificates_that_are_none_are_told(tmp_path: Path) -> None:
    """With the key."""
    with pytest.raises(errors.CpiError, match="ca_cert holds no certificates"):
        cpi.connect(config(tmp_path, url="https://127.0.0.1:9", ca_cert=str(tmp_path / "nothing")))


@pytest.mark.parametrize(
    "text",
    [
        b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
        b"<x>",
        b"",
        b"{}",
    ],
)
def test_xml_with_a_dtd_is_refused(text: bytes) -> None:
    """As is what is no XML."""
    with pytest.raises(documents.Unreadable):
        documents.read(text)


def test_what_is_written_cannot_say_more_than_its_texts() -> None:
    """Everything is escaped."""
    wicked = '"><Evil/>&'
    written = documents.written(documents.make("Vm", documents.make("Description", wicked), name=wicked))
    read = documents.read(written)
    assert (read.get("name"), documents.text(read, "Description"), len(read)) == (wicked, wicked, 1)


def _no_vm(request: Request) -> Answer:
    """Everybody is let in, and finds nothing."""
    if request.method == "POST":
        return Answer(200, b"", {"X-VMWARE-VCLOUD-ACCESS-TOKEN": "token"})
    if request.path == "/api/versions":
        return Answer(200, _VERSIONS)
    if request.path == "/api/query":
        return Answer(200, _NONE)
    return Answer(403, b'<Error minorErrorCode="ACCESS_TO_RESOURCE_IS_FORBIDDEN" message="no"/>')


@pytest.mark.parametrize(("bypassed", "by_proxy"), [("", True), ("127.0.0.1", False)])
def test_without_a_setting_the_environment_names_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bypassed: str, *, by_proxy: bool
) -> None:
    """As the official jobs export it. A proxy is asked for whole URLs."""
    asked: list[str] = []

    def either(request: Request) -> Answer:
        asked.append(request.path)
        return Answer(404, b"")

    with web_server(either) as url:
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("no_proxy", bypassed)
        with cpi.connect(config(tmp_path, url=url)) as cloud, pytest.raises(errors.CpiError, match="is no Cloud Director"):
            cloud.has_vm(VmCid("urn:vcloud:vm:00000000-0000-4000-8000-000000000001"))
    assert set(asked) == {f"{url}/api/versions" if by_proxy else "/api/versions"}
