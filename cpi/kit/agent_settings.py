"""The settings document that a driver hands its VM's agent. Pure: where it is put is the driver's business.

Source of the keys: bosh-agent settings/settings.go. mbus and blobstore in env.bosh win over the defaults here, in the agent.
"""

from collections.abc import Mapping
from typing import Any

from cpi.contract.encoding import to_plain
from cpi.contract.ids import AgentId, DiskCid
from cpi.contract.model import AgentDefaults, DiskHint, Env, Networks

Settings = dict[str, Any]


def agent_settings(
    agent_id: AgentId,
    vm_name: str,
    networks: Networks,
    env: Env | None,
    defaults: AgentDefaults,
    *,
    system_disk: str = "",
    ephemeral_disk: str | Mapping[str, str] | None = None,
) -> Settings:
    """The document for a VM that has just been made: no persistent disk is known to it yet."""
    settings: Settings = {
        "agent_id": str(agent_id),
        "vm": {"name": vm_name},
        "networks": {name: to_plain(network.to_document()) for name, network in networks.items()},
        "disks": {"system": system_disk, "ephemeral": ephemeral_disk, "persistent": {}},
        "env": dict(env or {}),
        "ntp": list(defaults.ntp),
    }
    if defaults.mbus:
        settings["mbus"] = defaults.mbus
    if defaults.blobstore:
        settings["blobstore"] = dict(defaults.blobstore)
    return settings


def with_disk(settings: Settings, disk_cid: DiskCid, hint: DiskHint) -> Settings:
    """The document once a disk is attached."""
    persistent = {**settings["disks"]["persistent"], str(disk_cid): hint.to_wire()}
    return {**settings, "disks": {**settings["disks"], "persistent": persistent}}


def without_disk(settings: Settings, disk_cid: DiskCid) -> Settings:
    """The document once a disk is detached."""
    persistent = {cid: hint for cid, hint in settings["disks"]["persistent"].items() if cid != disk_cid}
    return {**settings, "disks": {**settings["disks"], "persistent": persistent}}
