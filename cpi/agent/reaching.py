"""From what an operator says about a VM's agent to the agent itself."""

import contextlib
from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec

from cpi.agent.protocol import Agent, Deadlines
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.contract.operator import ShowsAgentSettings


class Reach(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the VM's agent is reached. Secrets are in the files that are named; with no url the cloud is asked."""

    url: str | None = None
    """https://HOST:PORT of the agent, or nats://HOST:PORT of the message bus."""

    login: str | None = None
    """A file that holds USER:PASSWORD, for https."""

    ca: str | None = None
    """The PEM file of the authority that signed the agent's, or the bus's, certificate."""

    agent_id: str | None = None
    """Which agent on the bus."""

    certificate: str | None = None
    key: str | None = None
    """The PEM files that show the bus who we are."""


def faults_of(reach: Reach) -> list[str]:
    """What is wrong with it, as far as it can be seen without calling it."""
    if reach.url is None:
        return []
    try:
        address = urlsplit(reach.url)
        _ = address.port
    except ValueError as error:
        return [f"agent.url: {reach.url!r} is not a valid URL: {error}"]
    if address.password or address.username:
        return [
            "agent.url: it contains a password, which would be stored in the database; put USER:PASSWORD in a file (agent.login)"
        ]
    wanted = {"https": ("login",), "nats": ("agent_id",), "tls": ("agent_id",)}.get(address.scheme)
    if wanted is None or not address.hostname:
        return [f"agent.url: {reach.url!r} is neither https://HOST:PORT nor nats://HOST:PORT"]
    return [f"agent.{name}: required for an agent at {address.scheme}://" for name in wanted if getattr(reach, name) is None]


def reached(reach: Reach, cloud: Cloud, vm_cid: VmCid, made: contextlib.ExitStack, deadlines: Deadlines | None = None) -> Agent:
    """The agent of a VM. Raises CpiError if nothing says how to reach it; made keeps what has to be closed after it."""
    if reach.url is None:
        return _by_cloud(cloud, vm_cid, deadlines)
    if urlsplit(reach.url).scheme == "https":
        return _by_https(reach, deadlines)
    return _by_bus(reach, made, deadlines)


def _by_cloud(cloud: Cloud, vm_cid: VmCid, deadlines: Deadlines | None) -> Agent:
    if not isinstance(cloud, ShowsAgentSettings):
        raise errors.CpiError(f"the driver {cloud.name} does not report how to reach its agents; use --agent-url")
    from cpi.agent import https

    return https.from_settings(cloud.agent_settings(vm_cid), deadlines)


def _by_https(reach: Reach, deadlines: Deadlines | None) -> Agent:
    user, colon, password = _text(reach.login).strip().partition(":")
    if not (user and colon and password):
        raise errors.CpiError(f"{reach.login} must contain USER:PASSWORD")
    from cpi.agent import https

    address = urlsplit(reach.url or "")
    where = address._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{address.netloc}").geturl()
    return Agent(https.HttpsTransport(where, _text(reach.ca) if reach.ca else None), deadlines)


def _by_bus(reach: Reach, made: contextlib.ExitStack, deadlines: Deadlines | None) -> Agent:
    from cpi.agent.nats import BusTls, NatsBus

    tls = None
    if reach.ca is not None:
        tls = BusTls(ca_certificate=_text(reach.ca), certificate=_text(reach.certificate), private_key=_text(reach.key))
    bus = made.enter_context(NatsBus([reach.url or ""], tls))
    return bus.agent(reach.agent_id or "", deadlines)


def _text(path: str | None) -> str:
    if path is None:
        raise errors.CpiError("the agent's certificate, key or login file is not named")
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise errors.CpiError(f"{path} cannot be read: {reason}") from error
