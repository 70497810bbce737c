"""What is written for a VM before it starts: its agent's settings, its way to start, its certificate."""

import contextlib
import ipaddress
import logging
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cpi.contract import errors
from cpi.contract.ids import AgentId
from cpi.contract.model import AgentDefaults, Env, Networks
from cpi.kit.agent_settings import Settings, agent_settings
from cpi_drivers.local.host.layout import Layout
from cpi_drivers.local.networks.addresses import Endpoint

_SCHEMES: Final = ("https", "nats", "tls")
_log = logging.getLogger(__name__)


class AgentIdentity:
    """How the agents of one cloud are reached."""

    def __init__(self, layout: Layout, defaults: AgentDefaults, *, own_agent: bool) -> None:
        self._layout = layout
        self._defaults = defaults
        self._own_agent = own_agent

    def settings(self, agent_id: AgentId, vm_cid: str, networks: Networks, env: Env, endpoint: Endpoint) -> Settings:
        """The settings document: env as it came, an mbus with a certificate where it brought none, and the VM's address."""
        bosh = mapping(env.get("bosh"), "env.bosh")
        mbus = mapping(bosh.get("mbus"), "env.bosh.mbus")
        urls = [_here(str(url), endpoint) for url in mbus.get("urls") or [self._url(endpoint)]]
        self._check(urls[0])
        if urls[0].startswith("https:") and (mbus.get("urls") or self._defaults.mbus):
            _tell_where(networks, urls[0])
        cert = mapping(mbus.get("cert"), "env.bosh.mbus.cert")
        if urls[0].startswith("https:") and not (cert.get("certificate") and cert.get("private_key")):
            cert = {**cert, **self._certificate(vm_cid, endpoint)}
        env = {**env, "bosh": {**bosh, "mbus": {**mbus, "urls": urls, "cert": cert}}}
        settings = agent_settings(agent_id, vm_cid, networks, env, self._defaults)
        return {**settings, "mbus": urls[0], "address": endpoint.address}

    def _url(self, endpoint: Endpoint) -> str:
        host = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
        if not self._defaults.mbus:
            return f"https://agent:{secrets.token_urlsafe(24)}@{host}:{endpoint.port}"
        return self._defaults.mbus

    def _check(self, url: str) -> None:
        scheme = url.partition("://")[0] if "://" in url else "none"
        if self._own_agent and scheme not in _SCHEMES:
            raise errors.CpiError(
                f"the agent of the local cloud knows {', '.join(_SCHEMES)}, and the mbus it is given has the scheme {scheme!r}:"
                " give it none, or name an agent that knows it in agent.command"
            )

    def _certificate(self, vm_cid: str, endpoint: Endpoint) -> Mapping[str, str]:
        from cpi_drivers.local.vms.certificates import certificate_for

        made = certificate_for(self._layout, endpoint.address, vm_cid)
        return {"ca": made.authority, "certificate": made.certificate, "private_key": made.private_key}


def _tell_where(networks: Networks, url: str) -> None:
    """bosh create-env calls the address of its manifest: it would wait for ever for another one, and not say why."""
    asked = [str(network.ip) for network in networks.values() if network.type == "manual"]
    where = urlsplit(url)
    if asked and where.hostname not in asked:
        _log.warning(
            "the agent listens at %s, port %s, and not at %s: bosh create-env needs a static IP of 127.64.0.0/10 for it",
            where.hostname,
            where.port,
            ", ".join(asked),
        )


def _here(mbus: str, endpoint: Endpoint) -> str:
    """An HTTPS endpoint is the VM's own loopback address, for callers with a password: the rest of this machine is no friend.

    create-env asks for https://user:password@0.0.0.0:6868, which would be all addresses of this machine.
    """
    url = urlsplit(mbus)
    if url.scheme != "https":
        return mbus
    user = url.netloc.rpartition("@")[0] if url.password else f"agent:{secrets.token_urlsafe(24)}"
    host = url.hostname if _is_loopback(url.hostname or "") else endpoint.address
    return f"https://{user}@{f'[{host}]' if ':' in str(host) else host}:{url.port or endpoint.port}"


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def launch_document(stemcell: Path, command: list[str], *, isolated: bool) -> dict[str, Any]:
    """How the launcher starts the VM: with mounts of its own over the stemcell, or in the copy that is there."""
    overlay = {"lower": str(stemcell)} if isolated else None
    return {"isolate_mounts": isolated, "overlay": overlay, "command": command}


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """An object of a document, empty if it is not there. Raises CpiError, naming where, for anything else."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise errors.CpiError(f"{where}: expected an object, got {type(value).__name__}")
    return value
