"""Alerts as JSON, posted to a URL and signed: who gets them can tell that they are ours, and new.

The header X-Cpi-Signature is `t=SECONDS,v1=HEX`: the HMAC-SHA256 of `SECONDS.BODY` with the secret.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec

from cpi.contract.encoding import to_plain
from cpi.kit.settings import Secret, read_settings
from cpi.resurrection.alert import Alert
from cpi.resurrection.responders.posting import check_url, post

HEADER: Final = "X-Cpi-Signature"


def signature(secret: str, seconds: int, body: bytes) -> str:
    """What stands in the header."""
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


class Webhook(msgspec.Struct, frozen=True):
    """Posts to one URL."""

    url: str
    secret: Secret
    ca: str | None = None
    """A PEM file of the authority that signed the server's certificate, if the system does not know it."""

    plain: bool = False
    """Whether http:// will do."""

    def __post_init__(self) -> None:
        check_url(self.url, plain=self.plain)

    @classmethod
    def made(cls, settings: Mapping[str, Any], where: str) -> Self:
        """As in Responder."""
        return read_settings(cls, settings, where)

    def respond(self, alert: Alert) -> None:
        """As in Responder."""
        body = msgspec.json.encode({**to_plain(alert), "severity": alert.kind.severity})
        post(self.url, body, {HEADER: signature(self.secret.reveal(), int(time.time()), body)}, self.ca)

    def close(self) -> None:
        """As in Responder."""
