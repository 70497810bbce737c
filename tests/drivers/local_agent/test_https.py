"""The HTTPS side: who is let in, what is refused, and how it moves to another address."""

import socket
import stat

import httpx
import pytest

from fixtures.ports import own_port
from tests.drivers.local_agent.vm import USER, Vm, eventually

_PING = {"method": "ping", "arguments": [], "protocol": 3}


def test_a_stranger_is_not_let_in(lasting_vm: Vm) -> None:
    """401 for every path, with the challenge a browser would need."""
    for credentials in (None, (USER, "wrong"), ("other", lasting_vm.password), (USER, ""), (USER, f"{lasting_vm.password}x")):
        for path in ("/agent", "/elsewhere"):
            request = lasting_vm.http.build_request("POST", lasting_vm.url.replace("/agent", path), json=_PING)
            refused = lasting_vm.http.send(request, auth=httpx.BasicAuth(*credentials) if credentials else None)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Basic realm=""')


def test_a_malformed_authorization_is_not_let_in(lasting_vm: Vm) -> None:
    """It is refused as a wrong password is."""
    for header in ("Basic", "Basic !!!", "Bearer abc", "", "Basic dmNhcA=="):
        answer = httpx.post(lasting_vm.url, json=_PING, headers={"Authorization": header}, verify=lasting_vm.tls())
        assert answer.status_code == 401


def test_only_post_to_agent_is_there(lasting_vm: Vm) -> None:
    """Everything else is 404, as with the BOSH agent."""
    assert lasting_vm.http.get(lasting_vm.url).status_code == 404
    assert lasting_vm.http.put(lasting_vm.url, json=_PING).status_code == 404
    assert lasting_vm.http.post(lasting_vm.url + "/x", json=_PING).status_code == 404


def test_a_body_that_is_no_request_is_400(lasting_vm: Vm) -> None:
    """With a message, and the agent goes on."""
    for body in (b"", b"{", b"[]", b"null", b'"text"', b"{}", b'{"method": 3}', b"\xff\xfe", b"[" * 100_000):
        answer = lasting_vm.http.post(lasting_vm.url, content=body)
        assert answer.status_code == 400
        assert answer.json()["exception"]["message"]
        assert lasting_vm.call("ping") == "pong"


def test_a_huge_body_is_refused(lasting_vm: Vm) -> None:
    """Before it fills the memory."""
    answer = lasting_vm.http.post(lasting_vm.url, content=b" " * (17 * 1024 * 1024))
    assert answer.status_code == 413


def test_the_key_is_for_the_owner_alone(vm: Vm) -> None:
    """As are the settings' other secrets that the agent keeps."""
    vm.done("update_settings", {"trusted_certs": "PEM"})
    for path in (
        vm.path / "tls/key.pem",
        vm.path / "tls/certificate.pem",
        vm.path / "state/update_settings.json",
        vm.path / "agent.log",
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_the_log_holds_no_secret(vm: Vm) -> None:
    """Neither the password nor what messages carry."""
    vm.done("update_settings", {"trusted_certs": "s3cr3t-pem"})
    vm.reply("bogus", "s3cr3t-argument")
    assert vm.password not in vm.log()
    assert "s3cr3t" not in vm.log()


def test_a_new_mbus_is_listened_at_and_kept(vm: Vm) -> None:
    """update_settings moves the agent; jobs run on, and a reboot finds it at the new place."""
    vm.run_jobs({"name": "steady", "command": ["sleep", "60"]})
    vm.wait_for_job_state("running")
    port, password = own_port(), "another password"
    assert vm.done("update_settings", {"mbus": vm.mbus(port, "another%20password")}) == "ok"
    old_url, vm.port = vm.url, port
    vm.http.auth = httpx.BasicAuth(USER, password)
    vm.wait_until_ready()
    assert vm.job_states() == {"steady": "running"}
    with pytest.raises(httpx.ConnectError):
        vm.http.post(old_url, json=_PING)
    vm.reboot()
    assert vm.call("ping") == "pong"


@pytest.mark.parametrize(
    ("url", "said"),
    [("ftp://u:s3cr3t@127.0.0.1:4222", "or nats://address:port, not ftp://"), ("tls://u:s3cr3t@127.0.0.1:4222", "wants to see")],
)
def test_a_new_mbus_that_can_not_be_served_is_refused_at_once(vm: Vm, url: str, said: str) -> None:
    """What is neither HTTPS nor NATS, or lacks its certificate, is refused with the task; the agent stays where it is."""
    marker = vm.call("update_settings", {"mbus": {"urls": [url], "cert": {}}})
    reply = eventually(lambda: vm.reply("get_task", marker["agent_task_id"]).get("exception"), lambda: "no answer")
    assert said in reply["message"]
    assert "s3cr3t" not in reply["message"]


def test_an_address_that_is_taken_leaves_it_where_it_was(vm: Vm) -> None:
    """Its log says why."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        assert vm.done("update_settings", {"mbus": {**vm.mbus(9, "x"), "urls": [f"https://u:p@{place}"]}}) == "ok"
        eventually(lambda: "the one before stays" in vm.log(), vm.log)
    vm.wait_until_ready()
    assert f"cannot listen at {place}" in vm.log()
