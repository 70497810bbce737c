"""Proxies between here and an API: one reading of http_proxy, https_proxy and no_proxy for every driver."""

import ipaddress
import os
import urllib.parse
from collections.abc import Mapping
from typing import Annotated, Final, Self

import msgspec

from cpi.kit.redaction import remember

Described = msgspec.Meta

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_METADATA_NAMES: Final = frozenset({"metadata", "metadata.google.internal", "instance-data"})
_LINK_LOCAL: Final = (
    ipaddress.ip_network("169.254.0.0/16"),
    ipaddress.ip_network("fe80::/10"),
    ipaddress.ip_network("fd00:ec2::/32"),
    ipaddress.ip_network("fd20:ce::/32"),
)


class ProxyAddress(msgspec.Struct, frozen=True):
    """A proxy, and who asks it."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None

    @property
    def url(self) -> str:
        """As libraries take it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        named = urllib.parse.quote(self.user, safe="") if self.user is not None else ""
        secret = f":{urllib.parse.quote(self.password, safe='')}" if self.password is not None else ""
        return f"http://{named}{secret}{'@' if named or secret else ''}{host}:{self.port}"

    @property
    def place(self) -> str:
        """For a message: no password in it."""
        return f"{self.host}:{self.port}"


class Proxies(msgspec.Struct, frozen=True):
    """Proxies between here and the API; without them those of the environment."""

    http_proxy: Annotated[str | None, Described(description="proxy for http endpoints")] = None
    https_proxy: Annotated[str | None, Described(description="proxy for https endpoints")] = None
    no_proxy: Annotated[
        str | None,
        Described(
            description="reached without a proxy: hosts with all below them, addresses, CIDRs, each with a port or not, or `*`"
        ),
    ] = None

    def __post_init__(self) -> None:
        for name, given in (("http_proxy", self.http_proxy), ("https_proxy", self.https_proxy)):
            if given:
                try:
                    read_proxy(given)
                except ValueError as error:
                    raise ValueError(f"{name} {error}") from error

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Those that the environment names, in small letters or in capitals."""
        known = os.environ if environment is None else environment
        names = ("http_proxy", "https_proxy", "no_proxy")
        return cls(**{name: known.get(name) or known.get(name.upper()) or None for name in names})

    def or_of_environment(self) -> "Proxies":
        """These, or the environment's if these name no proxy."""
        return self if self.http_proxy or self.https_proxy else Proxies.of_environment()

    def for_url(self, url: str) -> ProxyAddress | None:
        """The proxy on the way to a URL; None: none. Instance metadata are never asked by a proxy."""
        parts = urllib.parse.urlsplit(url)
        given = self.https_proxy if parts.scheme == "https" else self.http_proxy
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        if not given or _is_metadata(host) or is_bypassed(host, port, self.no_proxy or ""):
            return None
        return read_proxy(given)


def read_proxy(given: str) -> ProxyAddress:
    """A proxy from `http://user:password@host:port`, or less of it. Raises ValueError, which quotes no password."""
    parts = urllib.parse.urlsplit(given if "://" in given else f"http://{given}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or port == -1:
        raise ValueError(
            "is not a valid proxy: use http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT with special characters encoded"
        )
    password = urllib.parse.unquote(parts.password) if parts.password is not None else None
    if password:
        remember((password,))
    user = urllib.parse.unquote(parts.username) if parts.username is not None else None
    return ProxyAddress(parts.hostname, port or 3128 if parts.scheme == "http" else port or 443, user, password)


def is_bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Whether no_proxy names the host: itself, a domain that it lies in, its address, its network, or `*`."""
    return any(_names(entry, host.lower().rstrip("."), port) for entry in no_proxy.replace(",", " ").lower().split())


def _names(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    address = _address(host)
    network = _network(entry)
    if network is not None:
        return address is not None and address.version == network.version and address in network
    name, wanted_port = _split(entry)
    if wanted_port not in (None, port):
        return False
    if address is not None or _address(name) is not None:
        return address == _address(name)
    domain = name.removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _split(entry: str) -> tuple[str, int | None]:
    """Host and port of `host`, `host:443`, `[::1]:443`, `::1`."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, int(rest[1:]) if rest[1:].isdecimal() else None
    name, colon, number = entry.rpartition(":")
    if colon and ":" not in name and number.isdecimal():
        return name, int(number)
    return entry, None


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    if "/" not in entry:
        return None
    try:
        return ipaddress.ip_network(entry.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_metadata(host: str) -> bool:
    address = _address(host)
    if address is None:
        return host.lower() in _METADATA_NAMES
    return any(address.version == network.version and address in network for network in _LINK_LOCAL)
