"""What a VM's agent reads from the metadata service or the config drive. Pure.

The shape of the official CPIs: the agent's settings, with the server's name and the resolvers in places of their own.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import AgentId
from cpi.contract.model import AgentDefaults, Env, Networks
from cpi.kit.agent_settings import agent_settings

_LONGEST: Final = 65535  # Nova's limit for user_data, encoded
_SYSTEM_DISK: Final = "/dev/sda"
_EPHEMERAL_DISK: Final = "/dev/sdb"


def document(
    agent_id: AgentId,
    name: str,
    networks: Networks,
    env: Env | None,
    defaults: AgentDefaults,
    *,
    has_ephemeral_disk: bool,
    use_dhcp: bool,
) -> dict[str, Any]:
    """The settings as a document; networks have their MACs."""
    settings = agent_settings(
        agent_id,
        name,
        networks,
        env,
        defaults,
        system_disk=_SYSTEM_DISK,
        ephemeral_disk=_EPHEMERAL_DISK if has_ephemeral_disk else None,
    )
    for network in settings["networks"].values():
        if network["type"] == "manual":
            network["use_dhcp"] = use_dhcp
    resolvers = _resolvers(networks)
    return {**settings, "server": {"name": name}, **({"dns": {"nameserver": resolvers}} if resolvers else {})}


def encoded(settings: Mapping[str, Any]) -> str:
    """For Nova. Raises CpiError, before any call, for more than Nova takes."""
    text = base64.b64encode(json.dumps(settings, separators=(",", ":")).encode()).decode()
    if len(text) > _LONGEST:
        raise errors.CpiError(f"the VM's settings are {len(text)} bytes as user data; Nova takes {_LONGEST}: make env smaller")
    return text


def _resolvers(networks: Networks) -> list[str]:
    with_dns = [network for network in networks.values() if network.dns]
    chosen = [network for network in with_dns if "dns" in (network.default or ())] or with_dns
    return list(chosen[0].dns or ()) if chosen else []
