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
from fixtures.clouds.vcsim.answers import fault
from fixtures.proxy import Answer, Request
from fixtures.simulated_time import SimulatedTime
from fixtures.web_server import Answers, web_server
from tests.drivers.one_server import VMS, config_of

DRIVERS = ("aws", "cloudstack", "google", "openstack", "vcloud", "vsphere")
CANARIES = ("canary-of-the-operator", "ca\"na\\ry<&>/+ 'ü€")
FORMS = [
    (driver, canary) for driver in DRIVERS for canary in CANARIES if canary.isascii() or driver != "google"
]  # Google's is a token, which has no other characters

_FAULTS = {400: "InvalidRequest", 401: "InvalidLogin", 403: "NoPermission", 500: "RuntimeFault"}
_CONTENT = """<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><RetrieveServiceContentResponse xmlns="urn:vim25"><returnval>
 <rootFolder type="Folder">group-d1</rootFolder><propertyCollector type="PropertyCollector">p</propertyCollector>
 <about><name>v</name><fullName>v</fullName><vendor>v</vendor><version>8.0.2</version><build>1</build><osType>l</osType>
 <productLineId>vpx</productLineId><apiType>VirtualCenter</apiType><apiVersion>8.0.2.0</apiVersion></about>
 <sessionManager type="SessionManager">SessionManager</sessionManager>
 </returnval></RetrieveServiceContentResponse></soapenv:Body></soapenv:Envelope>"""


def _cloud(driver: str, canary: str, status: int) -> Answers:
    """It lets nobody in who has to log in by SOAP; elsewhere a first call gives what the next is refused with."""

    def answer(request: Request) -> Answer:
        if driver == "google" and request.path == "/token":
            return Answer(200, json.dumps({"access_token": canary, "expires_in": 3600}).encode())
        if driver == "google" and request.path.endswith(":generateAccessToken"):
            return Answer(200, json.dumps({"accessToken": canary, "expireTime": "2099-01-01T00:00:00Z"}).encode())
        if driver == "vsphere" and b"RetrieveServiceContent" in request.body:
            return Answer(200, _CONTENT.encode(), {"Content-Type": "text/xml"})
        echoed = _echo(request, status, canary)
        return fault(_FAULTS[status], json.loads(echoed.body)["message"]) if driver == "vsphere" else echoed

    return answer


def _echo(request: Request, status: int, canary: str) -> Answer:
    """What it has seen of the secret comes first: an error quotes the beginning of a long answer."""
    sent = " ".join([request.path, request.query, *request.headers.values(), request.body.decode("utf-8", "replace")])
    spellings = [
        canary,
        json.dumps(canary),
        json.dumps(json.dumps(canary)),
        repr(canary),
        quote(canary),
        html.escape(canary),
        base64.b64encode(f"user:{canary}".encode()).decode(),
    ]
    told = " | ".join([*spellings, unquote_plus(sent), sent])
    return Answer(status, json.dumps({"message": told, "error": {"message": told}}).encode())


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


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers ask again after a 500."""
    SimulatedTime().rule_repeating(monkeypatch)


@pytest.mark.parametrize("status", [400, 401, 403, 500])
@pytest.mark.parametrize(("driver", "canary"), FORMS)
def test_an_error_and_the_log_show_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, driver: str, canary: str, status: int
) -> None:
    """What a caller of the library sees, and what it logs."""
    caplog.set_level(logging.DEBUG, "cpi")
    caplog.set_level(logging.DEBUG, "cpi_drivers")
    with (
        web_server(_cloud(driver, canary, status)) as url,
        cpi.connect(config_of(driver, url, tmp_path, canary)) as cloud,
        pytest.raises(errors.Error) as caught,
    ):
        cloud.has_vm(VMS[driver])
    assert not _shows(str(caught.value), canary)
    assert not _shows(caught.value.message, canary)
    assert not _shows(caplog.text, canary)


def test_a_signed_assertion_that_is_echoed_does_not_show(tmp_path: Path) -> None:
    """Whoever has it gets a token for it within the hour."""
    with (
        web_server(lambda request: Answer(400, request.body)) as url,
        cpi.connect(config_of("google", url, tmp_path, "")) as cloud,
        pytest.raises(errors.Error, match="assertion=<redacted>") as caught,
    ):
        cloud.has_vm(VMS["google"])
    assert "eyJ" not in str(caught.value)


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_executable_and_doctor_show_no_secret(tmp_path: Path, driver: str) -> None:
    """Answer, log, stderr and a table for people."""
    canary = next(canary for name, canary in reversed(FORMS) if name == driver)
    with web_server(_cloud(driver, canary, 403)) as url:
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
