"""Responders, against servers that take what they tell."""

import email
import email.policy
import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import quote

import msgspec
import pytest

from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.kit.redaction import remember
from cpi.kit.waiting import wait_until
from cpi.resurrection.alert import Alert, Kind
from cpi.resurrection.responders import finding
from cpi.resurrection.responders.finding import responder_of
from cpi.resurrection.responders.switchboard import Switchboard
from cpi.resurrection.responders.webhook import HEADER, signature
from tests.resurrection.receivers import mails, posts

_ALERT = Alert(
    kind=Kind.RECREATED,
    message="db/0: it was recreated as vm-2, its jobs were down for 4.5 s",
    instance="db/0",
    group="db",
    old_vm=VmCid("vm-1"),
    vm=VmCid("vm-2"),
    done=("delete_vm", "create_vm"),
    jobs_down_seconds=4.5,
)
_DOWN = Alert(kind=Kind.DOWN, message="db/0: missing VM; it will be recreated", instance="db/0", group="db")


def test_a_log_has_one_line_for_each_alert(tmp_path: Path) -> None:
    """For its owner alone."""
    log = responder_of({"type": "log", "path": str(tmp_path / "alerts")}, "responders[1]")
    log.respond(_DOWN)
    log.respond(_ALERT)
    first, second = map(json.loads, (tmp_path / "alerts").read_text().splitlines())
    assert (first["kind"], second["kind"], second["jobs_down_seconds"], second["vm"]) == ("down", "recreated", 4.5, "vm-2")
    assert (tmp_path / "alerts").stat().st_mode & 0o777 == 0o600


def test_a_webhook_is_signed_and_its_server_checked(tmp_path: Path) -> None:
    """By the secret, over the time and the body; a server with a certificate of nobody's is told nothing."""
    secret = "a-secret-of-both"  # noqa: S105 - the test's own
    with posts(tmp_path) as server:
        told = {"type": "webhook", "url": server.url, "secret": secret, "ca": server.ca}
        responder_of(told, "r").respond(_ALERT)
        (body,), (headers,) = server.bodies, server.headers
        seconds = int(headers[HEADER].split(",")[0].removeprefix("t="))
        assert headers[HEADER] == signature(secret, seconds, body) != signature("another", seconds, body)
        document = json.loads(body)
        assert (document["instance"], document["severity"], document["done"]) == ("db/0", "info", ["delete_vm", "create_vm"])
        with pytest.raises(errors.CloudError, match="CERTIFICATE_VERIFY_FAILED"):
            responder_of({**told, "ca": None}, "r").respond(_ALERT)
        assert len(server.bodies) == 1


def test_pagerduty_opens_and_resolves_one_incident(tmp_path: Path) -> None:
    """By the same key."""
    with posts(tmp_path) as server:
        told = {"type": "pagerduty", "routing_key": "a-key-of-32", "source": "prod", "url": server.url, "ca": server.ca}
        duty = responder_of(told, "r")
        duty.respond(_DOWN)
        duty.respond(_ALERT)
        down, over = map(json.loads, server.bodies)
    assert (down["event_action"], over["event_action"]) == ("trigger", "resolve")
    assert down["dedup_key"] == over["dedup_key"] == "prod db/0"
    assert (down["routing_key"], down["payload"]["severity"], down["payload"]["group"]) == ("a-key-of-32", "warning", "db")
    assert over["payload"]["custom_details"]["jobs_down_seconds"] == 4.5


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_mail_goes_over_tls_to_a_server_that_is_checked(tmp_path: Path, tls: str) -> None:
    """With user and password, which a server of nobody's never sees."""
    with mails(tmp_path, implicit=tls == "implicit") as server:
        told: dict[str, Any] = {
            "type": "mail", "host": "127.0.0.1", "port": server.port, "tls": tls, "ca": server.ca,
            "user": "watch", "password": "right-word", "sender": "cpi@example.com", "to": ["ops@example.com"],
        }  # fmt: skip
        responder_of(told, "r").respond(_ALERT)
        (content,) = server.contents
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert message["Subject"] == "[info] db/0: it was recreated as vm-2, its jobs were down for 4.5 s"
        assert "done: delete_vm, create_vm" in message.get_content()
        with pytest.raises(errors.CpiError, match="refuses the user watch"):
            responder_of({**told, "password": "wrong-word"}, "r").respond(_ALERT)
        seen = len(server.users)
        with pytest.raises(errors.CloudError, match="CERTIFICATE_VERIFY_FAILED"):
            responder_of({**told, "ca": None}, "r").respond(_ALERT)
        assert (len(server.users), len(server.contents)) == (seen, 1)


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ({}, "r.type: is missing; known types: log, mail, pagerduty, webhook"),
        ({"type": "pigeon"}, "unknown responder 'pigeon'"),
        ({"type": "log", "path": "x", "least": "loud"}, "r.least: 'loud' must be one of info, warning, error, critical"),
        ({"type": "log"}, "r.path: is missing"),
        ({"type": "webhook", "url": "http://h/", "secret": "s"}, "or say plain: true"),
        ({"type": "webhook", "url": "https://u:word-word@h/", "secret": "s"}, "it holds a password"),
        ({"type": "mail", "host": "h", "sender": "a", "to": []}, "no recipient given"),
        ({"type": "mail", "host": "h", "sender": "a", "to": ["b"], "user": "u"}, "belong together"),
        ({"type": "mail", "host": "h", "sender": "a", "to": ["b"], "user": "u", "password": "p", "tls": "none"}, "unencrypted"),
    ],
)
def test_what_is_wrong_is_told_before_anything_happens(told: Mapping[str, Any], fault: str) -> None:
    """With where it is."""
    with pytest.raises(errors.CpiError) as raised:
        responder_of(told, "r")
    assert fault in raised.value.message
    assert "word-word" not in raised.value.message


class Kept:
    """A responder of somebody else's."""

    alerts: ClassVar[list[Alert]] = []

    @classmethod
    def made(cls, settings: Mapping[str, Any], where: str) -> Self:
        return cls()

    def respond(self, alert: Alert) -> None:
        self.alerts.append(alert)

    def close(self) -> None:
        """Nothing is open."""


def test_a_responder_of_another_package_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the group cpi.responders."""
    from importlib.metadata import EntryPoint

    entry = EntryPoint("kept", f"{__name__}:Kept", finding.ENTRY_POINT_GROUP)
    monkeypatch.setattr(finding, "entry_points", lambda **wanted: [entry] if wanted.get("name", "kept") == "kept" else [])
    responder_of({"type": "kept"}, "r").respond(_DOWN)
    assert Kept.alerts == [_DOWN]


def test_a_responder_that_fails_is_tried_again_and_keeps_no_other_waiting(tmp_path: Path) -> None:
    """What it cannot tell in the end is told to the operator; least leaves out what is less, save what ends something."""
    faults: list[str] = []
    with posts(tmp_path) as server:
        server.statuses = [503, 429]
        hook = {"type": "webhook", "url": server.url, "secret": "s", "ca": server.ca, "least": "error"}
        refusing = {"type": "webhook", "url": "https://127.0.0.1:1/", "secret": "s"}
        log = {"type": "log", "path": str(tmp_path / "alerts")}
        with Switchboard([hook, log], faults.append) as board:
            board.tell(_DOWN)
            board.tell(_ALERT)
            wait_until(lambda: len(server.bodies) == 3, "told at last", deadline_seconds=15)
        assert (len((tmp_path / "alerts").read_text().splitlines()), faults) == (2, [])
        server.statuses = [403]
        with Switchboard([{**hook, "least": "info"}, refusing], faults.append) as board:
            board.tell(_ALERT)
    assert any("responders[1] (webhook): 127.0.0.1 rejected the alert: HTTP 403" in fault for fault in faults)
    assert any("responders[2] (webhook): cannot send the alert to 127.0.0.1" in fault for fault in faults)


def test_no_responder_is_told_a_secret(tmp_path: Path) -> None:
    """A cloud may have echoed it to a call of the recreation, in any spelling."""
    canary = 'cana"ry of the/operator'
    remember((canary,))
    message = f"db/0: create_vm failed: {canary} {json.dumps(canary)} {quote(canary)} {b64encode(canary.encode()).decode()}"
    alert = msgspec.structs.replace(_ALERT, kind=Kind.FAILED, message=message)
    faults: list[str] = []
    with posts(tmp_path) as server, mails(tmp_path, implicit=True) as post:
        told: list[dict[str, Any]] = [
            {"type": "log", "path": str(tmp_path / "alerts")},
            {"type": "webhook", "url": server.url, "secret": "of-the-hook", "ca": server.ca},
            {"type": "pagerduty", "routing_key": "a-key-of-32", "source": "prod", "url": server.url, "ca": server.ca},
            {
                "type": "mail", "host": "127.0.0.1", "port": post.port, "tls": "implicit", "ca": post.ca,
                "user": "watch", "password": "right-word", "sender": "cpi@example.com", "to": ["ops@example.com"],
            },
        ]  # fmt: skip
        with Switchboard(told, faults.append) as switchboard:
            switchboard.tell(alert)
        mailed = [email.message_from_bytes(raw, policy=email.policy.default).get_content() for raw in post.contents]
        out = [(tmp_path / "alerts").read_text(), *(body.decode() for body in server.bodies), *mailed]
    assert faults == []
    assert len(out) == 4
    assert all("create_vm failed: <redacted>" in text for text in out)
    assert not any(form in text for text in out for form in (canary, json.dumps(canary)[1:-1], "Y2FuYSJy", "cana%22ry"))
