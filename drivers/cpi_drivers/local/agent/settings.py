"""The settings document as this agent reads it: the file that the driver keeps, with update_settings laid over it."""

import ipaddress
import json
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.layout import VmFolder

_DEFAULT_PORT = 6868
_LOOPBACK = "127.0.0.1"
_HEARTBEAT_SECONDS = 30
_SSH_IDLE_SECONDS = 3600
_BUSY_SECONDS = 10
_BUS_SCHEMES = ("nats", "tls")
_UPDATES = "update_settings"
_log = logging.getLogger(__name__)


class Endpoint(NamedTuple):
    """Where the agent listens, and whom it answers."""

    host: str
    port: int
    user: str
    password: str
    certificate: str
    private_key: str


class Bus(NamedTuple):
    """The message bus to join, and with which certificates; without any only where its operator runs it without."""

    urls: tuple[str, ...]
    ca: str | None
    certificate: str | None
    private_key: str | None


class Settings:
    """Read again with load(); if that fails the last good document stays in use, as with the BOSH agent."""

    def __init__(self, vm: VmFolder) -> None:
        self._vm = vm
        self._document: dict[str, Any] = {}
        self._updates: dict[str, Any] = vm.recall(_UPDATES) or {}

    def load(self) -> None:
        """Raises Fault if there never was a readable document."""
        try:
            document = json.loads(self._vm.settings.read_bytes())
        except (OSError, ValueError) as error:
            if not self._document:
                raise Fault(f"Loading settings: {self._vm.settings}: {error}") from error
            _log.warning("%s cannot be read, the settings read before stay: %s", self._vm.settings, error)
            return
        if not isinstance(document, dict) or not isinstance(document.get("agent_id"), str):
            raise Fault(f"Loading settings: {self._vm.settings} is no settings document: it has no agent_id")
        self._document = document

    def update(self, updates: Mapping[str, Any]) -> bool:
        """Keeps what update_settings brought. True if the agent must listen anew."""
        changed = bool(updates.get("mbus")) and updates["mbus"] != self._updates.get("mbus")
        merged = {**self._updates, **updates}
        endpoint_of(merged.get("mbus") or self._bosh.get("mbus"), self._document.get("mbus"))
        self._vm.keep(_UPDATES, merged)
        self._updates = merged
        return changed

    @property
    def agent_id(self) -> str:
        """The director's name for this agent."""
        return str(self._document["agent_id"])

    @property
    def vm(self) -> dict[str, Any]:
        """The VM's name, as it was given."""
        return dict(self._document.get("vm") or {})

    @property
    def networks(self) -> dict[str, dict[str, Any]]:
        """The networks as they turned out."""
        return dict(self._document.get("networks") or {})

    @property
    def env(self) -> dict[str, Any]:
        """The VM's env."""
        return dict(self._document.get("env") or {})

    @property
    def _bosh(self) -> dict[str, Any]:
        return dict(self.env.get("bosh") or {})

    @property
    def _own(self) -> dict[str, Any]:
        return dict((self._bosh.get("agent") or {}).get("settings") or {})

    @property
    def has_ssh_server(self) -> bool:
        """Whether env lets the VM have an SSH server where there is one: env.bosh.agent.settings.ssh_server."""
        return self._own.get("ssh_server") is not False

    @property
    def ssh_idle_seconds(self) -> float:
        """How long somebody who was let in may leave no session open: env.bosh.agent.settings.ssh_idle_seconds."""
        return self._seconds("ssh_idle_seconds", _SSH_IDLE_SECONDS)

    @property
    def address(self) -> str:
        """The VM's own, on the loopback interface: that of its HTTPS endpoint, if the driver named no other."""
        endpoint = self.endpoint
        return str(self._document.get("address") or (endpoint.host if isinstance(endpoint, Endpoint) else _LOOPBACK))

    @property
    def heartbeat_seconds(self) -> float:
        """How often the bus is told that the VM lives: env.bosh.agent.settings.heartbeat_seconds."""
        return self._seconds("heartbeat_seconds", _HEARTBEAT_SECONDS)

    @property
    def busy_seconds(self) -> float:
        """How long a disk that something uses is tried again: env.bosh.agent.settings.busy_seconds."""
        return self._seconds("busy_seconds", _BUSY_SECONDS)

    def _seconds(self, key: str, default: float) -> float:
        seconds = self._own.get(key, default)
        if not isinstance(seconds, int | float) or seconds <= 0:
            raise Fault(f"env.bosh.agent.settings.{key} must be a positive number, got {seconds!r}")
        return float(seconds)

    @property
    def persistent_disks(self) -> dict[str, Any]:
        """The hints of the disks that are attached."""
        return dict((self._document.get("disks") or {}).get("persistent") or {})

    @property
    def blobstore(self) -> dict[str, Any]:
        """Where blobs are that were not put into the VM: update_settings before env.bosh.blobstores before blobstore."""
        for listed in (self._updates.get("blobstores"), self._bosh.get("blobstores")):
            if isinstance(listed, list) and listed and isinstance(listed[0], dict):
                return dict(listed[0])
        return dict(self._document.get("blobstore") or {})

    @property
    def endpoint(self) -> Endpoint | Bus:
        """update_settings before env.bosh.mbus before mbus."""
        return endpoint_of(self._updates.get("mbus") or self._bosh.get("mbus"), self._document.get("mbus"))


def endpoint_of(mbus: Any, fallback: Any) -> Endpoint | Bus:
    """Raises Fault, without the password in it, for what cannot be served."""
    mbus = mbus if isinstance(mbus, dict) else {}
    urls = mbus.get("urls") or ([fallback] if fallback else [])
    cert = mbus.get("cert") or {}
    if not urls:
        raise Fault("the settings name no mbus: neither env.bosh.mbus.urls nor mbus")
    url = urlsplit(str(urls[0]))
    if url.scheme in _BUS_SCHEMES and url.hostname:
        return _bus(tuple(map(str, urls)), cert)
    if url.scheme != "https" or not url.hostname:
        raise Fault(
            "this agent knows an mbus of the form https://user:password@address:port or nats://address:port,"
            f" not {url.scheme or 'nothing'}://"
        )
    if not (cert.get("certificate") and cert.get("private_key")):
        raise Fault("env.bosh.mbus.cert must hold certificate and private_key: they are what HTTPS is served with")
    if not url.password or not _is_loopback(url.hostname):
        raise Fault("the agent listens on a loopback address, for callers with a password: https://user:password@127.…:port")
    return Endpoint(
        host=url.hostname,
        port=url.port or _DEFAULT_PORT,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        certificate=str(cert["certificate"]),
        private_key=str(cert["private_key"]),
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bus(urls: tuple[str, ...], cert: Mapping[str, Any]) -> Bus:
    ca, certificate, private_key = (str(cert[name]) if cert.get(name) else None for name in ("ca", "certificate", "private_key"))
    given = [certificate is not None, private_key is not None]
    if any(given) != all(given) or (urlsplit(urls[0]).scheme == "tls" and not any(given)):
        raise Fault("env.bosh.mbus.cert must hold certificate and private_key: a bus with TLS wants to see who comes")
    return Bus(urls, ca, certificate, private_key)
