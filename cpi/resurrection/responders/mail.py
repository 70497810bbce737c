"""Alerts as mail, over SMTP with TLS."""

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any, Final, Literal, Self

import msgspec

from cpi.contract import errors
from cpi.kit.settings import Secret, read_settings
from cpi.resurrection.alert import Alert

_SECONDS: Final = 20.0
_PORTS: Final = {"starttls": 587, "implicit": 465, "none": 25}


class Mail(msgspec.Struct, frozen=True):
    """One mail for each alert, to all."""

    host: str
    sender: str
    to: tuple[str, ...]
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    """none has to be asked for, and takes no password."""

    port: int | None = None
    user: str | None = None
    password: Secret | None = None
    ca: str | None = None
    """A PEM file of the authority that signed the server's certificate, if the system does not know it."""

    def __post_init__(self) -> None:
        if not self.to:
            raise ValueError("to: no recipient given")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together")
        if self.tls == "none" and self.password is not None:
            raise ValueError("password: it would be sent unencrypted: choose starttls or implicit")

    @classmethod
    def made(cls, settings: Mapping[str, Any], where: str) -> Self:
        """As in Responder."""
        return read_settings(cls, settings, where)

    def respond(self, alert: Alert) -> None:
        """As in Responder."""
        try:
            with self._connected() as server:
                if self.user is not None and self.password is not None:
                    server.login(self.user, self.password.reveal())
                server.send_message(self._message(alert))
        except smtplib.SMTPAuthenticationError as error:
            raise errors.CpiError(f"{self.host} refuses the user {self.user}: {error.smtp_code}") from error
        except (smtplib.SMTPException, OSError) as error:
            raise errors.CloudError(f"mail through {self.host} failed: {error}") from error

    def _connected(self) -> smtplib.SMTP:
        port = self.port or _PORTS[self.tls]
        if self.tls == "implicit":
            return smtplib.SMTP_SSL(self.host, port, timeout=_SECONDS, context=self._context())
        server = smtplib.SMTP(self.host, port, timeout=_SECONDS)
        if self.tls == "starttls":
            try:
                server.starttls(context=self._context())
            except BaseException:
                server.close()
                raise
        return server

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca)

    def _message(self, alert: Alert) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"] = self.sender, ", ".join(self.to)
        message["Subject"] = " ".join(f"[{alert.kind.severity}] {alert.message}".split())[:200]
        lines = [alert.message, "", f"when: {alert.at}"]
        told = {
            "instance": alert.instance, "VM lost": alert.old_vm, "VM made": alert.vm,
            "done": ", ".join(alert.done), "down": ", ".join(alert.down),
            "jobs down": f"{alert.jobs_down_seconds:.1f} s" if alert.jobs_down_seconds is not None else "",
        }  # fmt: skip
        lines += [f"{name}: {value}" for name, value in told.items() if value]
        message.set_content("\n".join(lines) + "\n")
        return message

    def close(self) -> None:
        """As in Responder."""
