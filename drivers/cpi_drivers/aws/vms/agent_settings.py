"""The user data: the agent's whole settings, as the agent reads them from the metadata service."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.encoding import to_json
from cpi.contract.ids import AgentId, VmCid
from cpi.contract.model import AgentDefaults, Env, Networks
from cpi.kit.agent_settings import agent_settings
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.networks import requested as interfaces
from cpi_drivers.aws.vms.launch_disks import LaunchDisks

LARGEST: Final = 16384


def user_data(
    agent_id: AgentId,
    networks: Networks,
    macs: Mapping[str, str],
    env: Env | None,
    defaults: AgentDefaults,
    disks: LaunchDisks,
    system: str,
) -> str:
    """The document as JSON. Raises CpiError if EC2 would not take it."""
    told = interfaces.for_agent(networks, macs)
    settings: dict[str, Any] = agent_settings(
        agent_id, f"vm-{agent_id}", told, env, defaults, system_disk=system, ephemeral_disk=disks.ephemeral
    )
    if disks.raw:
        settings["disks"]["raw_ephemeral"] = [{"path": path} for path in disks.raw]
    nameservers = interfaces.nameservers(networks)
    if nameservers:
        settings["dns"] = {"nameserver": nameservers}
    document = to_json(settings)
    if len(document) > LARGEST:
        raise errors.CpiError(
            f"the VM's user data is {len(document)} bytes and EC2 takes {LARGEST}: shorten env (bosh.tags, authorized_keys,"
            f" certificates), use signed blobstore URLs, or fewer networks; its largest parts: {_largest(settings)}"
        )
    return document.decode()


def _largest(settings: Mapping[str, Any]) -> str:
    env = settings.get("env", {})
    bosh = env.get("bosh", {}) if isinstance(env, Mapping) else {}
    parts = {f"env.bosh.{key}": len(to_json(value)) for key, value in bosh.items()} if isinstance(bosh, Mapping) else {}
    parts |= {key: len(to_json(value)) for key, value in settings.items() if key != "env"}
    ordered = sorted(parts.items(), key=lambda part: -part[1])[:3]
    return ", ".join(f"{name} {size} bytes" for name, size in ordered)


def of_vm(account: Account, vm_cid: VmCid) -> Mapping[str, Any]:
    """What a VM was given. Raises VMNotFound."""
    answer = account.client.call("DescribeInstanceAttribute", InstanceId=str(vm_cid), Attribute="userData")
    given = answer.get("UserData", {}).get("Value", "")
    try:
        document: Mapping[str, Any] = json.loads(base64.b64decode(given))
    except ValueError as error:
        raise errors.CloudError(f"the user data of {vm_cid} are no agent settings") from error
    return document
