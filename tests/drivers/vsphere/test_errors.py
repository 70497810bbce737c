"""What an error says at night: which server, which certificate, which privilege, and what can be done."""

import hashlib
import logging
import socketserver
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pyVmomi import vim

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.kit.settings import Secret
from cpi_drivers.vsphere.api.client import Client
from cpi_drivers.vsphere.api.errors import refusal
from cpi_drivers.vsphere.settings import Datacenter, VCenter
from fixtures.certificates import Authority
from fixtures.clouds.vcsim.answers import fault
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Answer, Request, Rule, effects
from fixtures.web_server import web_server
from tests.drivers.vsphere.conftest import Helper


def _client(folder: Path) -> Client:
    datacenter = Datacenter("DC", ("c",), datastore_pattern=".", persistent_datastore_pattern=".")
    return Client(VCenter("vcenter.invalid", "u", Secret("password"), (datacenter,), cache_folder=str(folder)))


def test_an_image_goes_to_a_host_with_the_certificate_that_the_lease_names(tmp_path: Path) -> None:
    """Of whichever issuer; the query of the URL is sent too. Another certificate is refused, and it is the host that is named."""
    seen: list[Request] = []

    def taken(request: Request) -> Answer:
        seen.append(request)
        return Answer(200, b"")

    with web_server(taken, Authority()) as url:
        host = urlsplit(url)
        shown = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((str(host.hostname), int(host.port or 0))))
        digest = hashlib.sha1(shown, usedforsecurity=False).hexdigest().upper()
        thumbprint = ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))

        def send(told: str | None) -> tuple[int, bytes]:
            return client.upload(
                "POST", urlsplit(f"{url}/nfc/disk.vmdk?ticket=1"), iter([b"data"]), {"Content-Length": "4"}, told
            )

        client = _client(tmp_path)
        assert send(thumbprint)[0] == 200
        assert [(request.path, request.query, request.body) for request in seen] == [("/nfc/disk.vmdk", "ticket=1", b"data")]
        with pytest.raises(errors.CloudError, match=rf"{url} cannot be reached: its certificate is not trusted: the thumbprint"):
            send("00:" + thumbprint[3:])
        with pytest.raises(
            errors.CloudError, match=rf"{url} cannot be reached: its certificate is not trusted.*ca_cert must hold"
        ):
            send(None)
        assert len(seen) == 1


def test_a_missing_privilege_is_named_with_what_it_is_missing_on() -> None:
    """Who has the vCenter's rights to give can give it."""
    fault: Any = vim.fault.NoPermission(object=vim.ResourcePool("resgroup-8"), privilegeId="Resource.AssignVMToPool")
    told = refusal("CloneVM_Task", fault)
    assert told.message.endswith("NoPermission: the privilege Resource.AssignVMToPool on ResourcePool resgroup-8 is missing")


@pytest.mark.parametrize(("bypassed", "by_proxy"), [("", True), (".invalid", False)])
def test_the_environment_names_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bypassed: str, *, by_proxy: bool
) -> None:
    """For calls and for files, as the official jobs export it; it is asked for a way to the vCenter."""
    asked: list[str] = []

    class Proxy(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode().strip())
            self.wfile.write(b"HTTP/1.0 403 Forbidden\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("no_proxy", bypassed)
        try:
            client = _client(tmp_path)
            with pytest.raises(errors.CloudError, match=r"vcenter\.invalid:443"):
                client.find("DC0")
            with pytest.raises(errors.CloudError, match=r"vcenter\.invalid:443"):
                client.upload("PUT", urlsplit("https://vcenter.invalid/x"), iter([b""]), {"Content-Length": "0"})
        finally:
            server.shutdown()
            thread.join()
    assert {line.rpartition(" ")[0] for line in asked} == ({"CONNECT vcenter.invalid:443"} if by_proxy else set())


def test_a_proxy_that_wants_a_login_is_refused_without_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would show the login to the vCenter too."""
    monkeypatch.setenv("https_proxy", "http://user:word-of-the-proxy@127.0.0.1:3128")
    with pytest.raises(errors.CpiError, match="a proxy with a login is not supported here") as caught:
        _client(tmp_path).find("DC0")
    assert "word-of-the-proxy" not in caught.value.message


# ---------------------------------------------------------------------- questions

_ASKED = (
    b"<objects><obj type='VirtualMachine'>%s</obj><propSet><name>runtime.question</name>"
    b"<val xsi:type='VirtualMachineQuestionInfo'><id>7</id>"
    b"<text>The disk has been  modified.\nGo on?</text><choice>"
    b"<choiceInfo xsi:type='ElementDescription'><label>Cancel</label><summary>-</summary><key>0</key></choiceInfo>"
    b"<choiceInfo xsi:type='ElementDescription'><label>Yes</label><summary>-</summary><key>1</key></choiceInfo>"
    b"%s</choice></val></propSet></objects></returnval>"
)
_TAKEN = (
    b"<?xml version='1.0'?><e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body>"
    b"<AnswerVMResponse xmlns='urn:vim25'></AnswerVMResponse></e:Body></e:Envelope>"
)


def _asking(vcenter: Lab, vm: VmCid, default: bytes) -> Rule:
    """The VM has a question until it is answered; the rule by which it is."""
    end = _ASKED % (vcenter.vm(vm)._moId.encode(), default)

    def asked(request: Request, answer: Answer) -> Answer:
        if answered.met or b"runtime.question" not in request.body or b"</returnval>" not in answer.body:
            return answer
        return Answer(answer.status, answer.body.replace(b"</returnval>", end), answer.headers)

    answered = Rule("AnswerVM", effects.answer(200, _TAKEN, {"Content-Type": "text/xml; charset=utf-8"}))
    vcenter.proxy.inject(answered)
    vcenter.proxy.inject(Rule("RetrievePropertiesEx", effects.rewritten(asked)))
    return answered


_DEEDS: dict[str, tuple[str, Callable[[Helper, VmCid, DiskCid], object]]] = {
    "power off": ("PowerOffVM_Task", lambda helper, vm, _: helper.cloud.delete_vm(vm)),
    "reconfigure": ("ReconfigVM_Task", lambda helper, vm, disk: helper.cloud.attach_disk(vm, disk)),
    "reboot": ("RebootGuest", lambda helper, vm, _: helper.cloud.reboot_vm(vm)),
}


@pytest.mark.parametrize("deed", _DEEDS)
def test_a_pending_question_is_answered_by_its_default(
    vcenter: Lab, helper: Helper, caplog: pytest.LogCaptureFixture, deed: str
) -> None:
    """And what it was, is in the log."""
    vm, disk = helper.vm().cid, helper.cloud.create_disk(MiB(10), {})
    action, call = _DEEDS[deed]
    refused = fault("QuestionPending")
    vcenter.proxy.inject(Rule(action, effects.answer(refused.status, refused.body, dict(refused.headers)), times=1))
    answered = _asking(vcenter, vm, b"<defaultIndex>1</defaultIndex>")
    with caplog.at_level(logging.WARNING):
        call(helper, vm, disk)
    assert answered.met == 1
    assert any("The disk has been modified. Go on? It is answered by default: Yes" in said for said in caplog.messages)


def test_a_question_during_a_task_is_answered(vcenter: Lab, helper: Helper) -> None:
    """The task waits for it, and would for ever."""
    vm = helper.vm().cid
    answered = _asking(vcenter, vm, b"<defaultIndex>0</defaultIndex>")
    helper.cloud.delete_vm(vm)
    assert answered.met == 1


def test_a_question_without_a_default_is_told(vcenter: Lab, helper: Helper) -> None:
    """With the answers that there are: somebody has to choose."""
    vm = helper.vm().cid
    _asking(vcenter, vm, b"")
    with pytest.raises(errors.CloudError, match=r"no default answer: The disk has been modified. Go on\? \(Cancel, Yes\)"):
        helper.cloud.delete_vm(vm)
