"""What a VM's agent reads from the virtual router or the config drive: its settings. Pure."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import AgentId
from cpi.contract.model import AgentDefaults, Env, Networks
from cpi.kit.agent_settings import agent_settings
from cpi_drivers.cloudstack.disks.hints import device
from cpi_drivers.cloudstack.properties import Route

_LIMIT: Final = 32768  # of a POST, encoded


def document(
    agent_id: AgentId,
    name: str,
    networks: Networks,
    env: Env | None,
    defaults: AgentDefaults,
    *,
    hypervisor: str,
    has_ephemeral_disk: bool,
    routes: Mapping[str, tuple[Route, ...]],
) -> dict[str, Any]:
    """The settings as a document."""
    settings = agent_settings(
        agent_id,
        name,
        networks,
        env,
        defaults,
        system_disk=device(hypervisor, 0),
        ephemeral_disk=device(hypervisor, 1) if has_ephemeral_disk else None,
    )
    for network, ways in routes.items():
        settings["networks"][network]["routes"] = [{"destination": way.cidr, "gateway": way.gateway} for way in ways]
    return settings


def encoded(settings: Mapping[str, Any]) -> str:
    """For CloudStack. Raises CpiError, before any call, for more than it takes."""
    text = base64.b64encode(json.dumps(settings, separators=(",", ":")).encode()).decode()
    if len(text) >= _LIMIT:
        said = f"the VM's settings are {len(text)} bytes as user data; CloudStack takes less than {_LIMIT}"
        raise errors.CpiError(f"{said}: make env smaller (bosh.tags, authorized_keys, certificates)")
    return text


def decoded(text: str) -> Mapping[str, Any]:
    """What a VM was given. Raises CloudError."""
    try:
        settings: Mapping[str, Any] = json.loads(base64.b64decode(text))
    except (ValueError, binascii.Error) as error:
        raise errors.CloudError("the VM's user data are no agent settings") from error
    return settings
