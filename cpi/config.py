"""The BOSH config document, and a call's context laid over it.

{"cloud": {"plugin": NAME, "properties": {NAME: {…}, "agent": {"mbus": …}, "ntp": […], "blobstore": {…}}}}, as the official
CPIs take it. The keys of a cpi-config entry arrive flat in a call's context and lie over the plugin's own block for that call.
"""

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cpi.contract import errors

if TYPE_CHECKING:
    from cpi.contract.model import AgentDefaults, CallContext, CloudConfig

Source = str | os.PathLike[str] | Mapping[str, Any]


def read_document(source: Source) -> Mapping[str, Any]:
    """The document from a path, or a mapping as it is. Raises CpiError saying what is wrong with the file."""
    if isinstance(source, Mapping):
        return source
    path = os.fspath(source)
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs the info path its time
            document = json.loads(file.read())
    except FileNotFoundError as error:
        raise errors.CpiError(f"the configuration {path} does not exist") from error
    except OSError as error:
        raise errors.CpiError(f"the configuration {path} can not be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise errors.CpiError(f"the configuration {path} is not JSON: {error}") from error
    if not isinstance(document, Mapping):
        raise errors.CpiError(f"the configuration {path}: expected an object, got {type(document).__name__}")
    return document


def plugin_of(document: Mapping[str, Any]) -> str:
    """The name of the driver that the document asks for."""
    cloud = document.get("cloud")
    plugin = cloud.get("plugin") if isinstance(cloud, Mapping) else None
    if not isinstance(plugin, str) or not plugin:
        raise errors.CpiError("the configuration has faults:\n  cloud.plugin: expected the name of a driver")
    return plugin


def cloud_config(document: Mapping[str, Any], block: str, context: "CallContext | None" = None) -> "CloudConfig":
    """What the driver is connected with: its block (named block) with the context laid over, and what agents are told.

    A block that is a list (vCenters) has the context laid over its first entry. Raises CpiError listing every fault.
    """
    from cpi.contract.model import CallContext, CloudConfig

    context = context or CallContext()
    plugin = plugin_of(document)
    faults: list[str] = []
    properties = document["cloud"].get("properties", {})
    if not isinstance(properties, Mapping):
        faults.append("cloud.properties: expected an object")
        properties = {}
    own = _with_context(properties.get(block, {}), context, f"cloud.properties.{block}", faults)
    strict = properties.get("strict_properties", False)
    if not isinstance(strict, bool):
        faults.append("cloud.properties.strict_properties: expected true or false")
    agent = _agent_defaults(properties, faults)
    if faults:
        raise errors.CpiError("the configuration has faults:\n" + "\n".join(f"  {fault}" for fault in faults))
    return CloudConfig(plugin=plugin, properties=own, agent=agent, context=context, strict_properties=strict is True)


def _with_context(own: Any, context: "CallContext", where: str, faults: list[str]) -> Any:
    if isinstance(own, list) and own:
        return [_with_context(own[0], context, f"{where}[0]", faults), *own[1:]]
    if not isinstance(own, Mapping):
        faults.append(f"{where}: expected an object")
        return own
    return {**own, **context.properties}


def _agent_defaults(properties: Mapping[str, Any], faults: list[str]) -> "AgentDefaults":
    import msgspec

    from cpi.contract.model import AgentDefaults

    agent = properties.get("agent", {})
    if not isinstance(agent, Mapping):
        faults.append("cloud.properties.agent: expected an object")
        agent = {}
    wanted = {"mbus": agent.get("mbus"), "ntp": properties.get("ntp", agent.get("ntp", []))}
    wanted["blobstore"] = properties.get("blobstore", agent.get("blobstore"))
    try:
        return msgspec.convert(wanted, AgentDefaults)
    except msgspec.ValidationError as error:
        faults.append(f"cloud.properties: what agents are told: {error}")
        return AgentDefaults()
