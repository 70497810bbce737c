"""A cloud that echoes all it was sent, in every spelling: no secret of the configuration shows, whichever way out it takes."""

import base64
import html
import json
import logging
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, unquote_plus

import pytest

import cpi
from cpi.contract import errors
from fixtures.proxy import Answer, Request
from fixtures.web_server import web_server
from tests.drivers.one_server import VMS, config_of

DRIVERS = ("aws", "cloudstack", "openstack", "vcloud")
CANARIES = ("canary-of-the-operator", "ca\"na\\ry<&>/+ 'ü€")


def _echo(request: Request, status: int) -> Answer:
    sent = " ".join([request.path, request.query, *request.headers.values(), request.body.decode("utf-8", "replace")])
    words = [unquote_plus(sent), *_decoded(request)]
    spellings = [
        spelling
        for word in words
        for spelling in (
            word,
            json.dumps(word),
            json.dumps(json.dumps(word)),
            repr(word),
            quote(word),
            html.escape(word),
            base64.b64encode(word.encode()).decode(),
        )
    ]
    return Answer(status, json.dumps({"message": sent, "error": {"message": " | ".join(spellings)}}).encode())


def _decoded(request: Request) -> list[str]:
    kind, _, told = request.headers.get("Authorization", "").partition(" ")
    found = [base64.b64decode(told).decode()] if kind == "Basic" else []
    try:
        return [*found, *_strings(json.loads(request.body))]
    except ValueError:
        return found


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) else []


def _shows(text: str, canary: str) -> bool:
    middle = base64.b64encode(b"\0" + canary.encode())[4:-4].decode()
    forms = {
        canary,
        json.dumps(canary)[1:-1],
        repr(canary)[1:-1],
        quote(canary),
        quote(canary, safe=""),
        html.escape(canary),
        middle,
    }
    return any(form in text for form in forms)


@pytest.mark.parametrize("status", [400, 401, 403, 500])
@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("driver", DRIVERS)
def test_an_error_and_the_log_show_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, driver: str, canary: str, status: int
) -> None:
    """What a caller of the library sees, and what it logs."""
    caplog.set_level(logging.DEBUG, "cpi")
    caplog.set_level(logging.DEBUG, "cpi_drivers")
    with (
        web_server(lambda request: _echo(request, status)) as url,
        cpi.connect(config_of(driver, url, tmp_path, canary)) as cloud,
        pytest.raises(errors.Error) as caught,
    ):
        cloud.has_vm(VMS[driver])
    assert not _shows(str(caught.value), canary)
    assert not _shows(caught.value.message, canary)
    assert not _shows(caplog.text, canary)


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_executable_and_doctor_show_no_secret(tmp_path: Path, driver: str) -> None:
    """Answer, log, stderr and a table for people."""
    canary = CANARIES[1]
    with web_server(lambda request: _echo(request, 403)) as url:
        path = tmp_path / "cpi.json"
        path.write_text(json.dumps(config_of(driver, url, tmp_path, canary)))
        request = {"method": "has_vm", "arguments": [VMS[driver]], "context": {"director_uuid": "d"}}
        for arguments in (["rpc", "--config", str(path)], ["doctor", "--config", str(path)]):
            done = subprocess.run(
                [sys.executable, "-m", "cpi", *arguments], input=json.dumps(request), capture_output=True, check=False, text=True
            )
            assert done.stdout
            assert not _shows(done.stdout, canary), arguments
            assert not _shows(done.stderr, canary), arguments
