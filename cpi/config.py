"""The BOSH config document, and a call's context laid over it.

{"cloud": {"plugin": NAME, "properties": {NAME: {…}, "agent": {"mbus": …}, "ntp": […], "blobstore": {…}}}}, as the official
CPIs take it. The keys of a cpi-config entry arrive flat in a call's context and lie over the plugin's own block for that call.
A key whose value is null is as good as absent; a null in the context takes away what the block says.

A document without `cloud`, as CPIs in Go have it, means the same: {NAME: {…}, "Actions": {"Agent": {…}}}, its keys in CamelCase.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from cpi.contract import errors

if TYPE_CHECKING:
    from cpi.contract.model import AgentDefaults, CallContext, CloudConfig

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_DURATION = re.compile(r"([1-9]\d{0,5})([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_HEAD = "the configuration has faults:"

Source = str | os.PathLike[str] | Mapping[str, Any]


def read_document(source: Source) -> Mapping[str, Any]:
    """The document from a path, or a mapping as it is. Raises CpiError saying what is wrong with the file."""
    if isinstance(source, Mapping):
        return _in_our_form(source)
    path = os.fspath(source)
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs the info path its time
            document = json.loads(file.read())
    except FileNotFoundError as error:
        raise errors.CpiError(f"the configuration {path} does not exist") from error
    except OSError as error:
        raise errors.CpiError(f"the configuration {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise errors.CpiError(f"the configuration {path} is not JSON: {error}") from error
    if not isinstance(document, Mapping):
        raise errors.CpiError(f"the configuration {path}: expected an object, got {type(document).__name__}")
    refuse_half_characters(document, f"the configuration {path}")
    return _in_our_form(document)


def _in_our_form(document: Mapping[str, Any]) -> Mapping[str, Any]:
    actions = document.get("Actions")
    if "cloud" in document or not isinstance(actions, Mapping):
        return document
    blocks = [key for key, value in document.items() if key != "Actions" and isinstance(value, Mapping)]
    if len(blocks) != 1:
        return document
    plugin = blocks[0].lower()
    agent = actions.get("Agent")
    told = {key.lower(): _lower(value) if key.lower() == "blobstore" else value for key, value in (agent or {}).items()}
    return {"cloud": {"plugin": plugin, "properties": {plugin: _snaked(document[blocks[0]]), "agent": told}}}


def _lower(value: Any) -> Any:
    return {key.lower(): each for key, each in value.items()} if isinstance(value, Mapping) else value


def _snaked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_WORDS.sub("_", key).lower(): _snaked(each) for key, each in value.items()}
    return [_snaked(each) for each in value] if isinstance(value, list) else value


def refuse_half_characters(document: Mapping[str, Any], what: str) -> None:
    """Raises CpiError for a lone surrogate, as JSON can bring it: no cloud, no file and no database takes one."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start : error.start + 1].encode(errors="backslashreplace").decode()
        raise errors.CpiError(f"{what} holds {half}, which is an unpaired surrogate") from None


def plugin_of(document: Mapping[str, Any]) -> str:
    """The name of the driver that the document asks for."""
    cloud = document.get("cloud")
    plugin = cloud.get("plugin") if isinstance(cloud, Mapping) else None
    if not isinstance(plugin, str) or not plugin:
        raise faulty(["cloud.plugin: expected the name of a driver"])
    return plugin


def api_version_of(document: Mapping[str, Any]) -> int | None:
    """The version that info is to tell at most (`debug.cpi.api_version`, as the official jobs have it); None: any."""
    found: Any = document
    for key in ("cloud", "properties", "debug", "cpi", "api_version"):
        found = found.get(key) if isinstance(found, Mapping) else None
    if found is None:
        return None
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise faulty([f"cloud.properties.debug.cpi.api_version: expected 1, 2 or 3, got {found!r}"])
    return found


def warm_idle_of(document: Mapping[str, Any]) -> float | None:
    """Seconds without a call after which `cpi serve` ends (`warm: {idle: 10m}`); None where calls are to be made cold."""
    cloud = document.get("cloud")
    properties = cloud.get("properties") if isinstance(cloud, Mapping) else None
    warm = properties.get("warm") if isinstance(properties, Mapping) else None
    if warm is None:
        return None
    idle = warm.get("idle") if isinstance(warm, Mapping) else None
    found = _DURATION.fullmatch(idle) if isinstance(idle, str) else None
    if found is None:
        raise faulty([f"cloud.properties.warm: expected {{idle: 10m}} (s, m or h), got {warm!r}"])
    return float(found[1]) * _SECONDS[found[2]]


class Block(NamedTuple):
    """Where the driver's own block is in cloud.properties."""

    key: str
    other_keys: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    """Its keys that may also lie beside it."""

    def found(self, properties: Mapping[str, Any]) -> tuple[str, Any]:
        """Its key, and what is there; what lies beside it is in it."""
        key = next((key for key in (self.key, *self.other_keys) if properties.get(key)), self.key)
        own = _given(properties, key, {})
        beside = {name: properties[name] for name in self.beside if properties.get(name) is not None}
        return key, {**beside, **own} if beside and isinstance(own, Mapping) else own


def cloud_config(document: Mapping[str, Any], block: str | Block, context: "CallContext | None" = None) -> "CloudConfig":
    """What the driver is connected with: its block (or its key) with the context laid over, and what agents are told.

    A block that is a list (vCenters) has the context laid over its first entry. Raises CpiError listing every fault.
    """
    read, faults = read_cloud_config(document, block, context)
    if faults:
        raise faulty(faults)
    return read


def faulty(faults: Iterable[str]) -> errors.CpiError:
    """The error that lists the faults of a configuration."""
    return errors.CpiError("\n  ".join([_HEAD, *faults]))


def faults_in(error: errors.CpiError) -> list[str]:
    """What an error like those of faulty lists; the message of any other."""
    return [line.strip() for line in error.message.removeprefix(_HEAD).strip().split("\n  ")]


def read_cloud_config(
    document: Mapping[str, Any], block: str | Block, context: "CallContext | None" = None
) -> "tuple[CloudConfig, list[str]]":
    """As cloud_config, with the faults beside what could be read: a driver may find more in its own block."""
    from cpi.contract.model import CallContext, CloudConfig

    context = context or CallContext()
    plugin = plugin_of(document)
    faults: list[str] = []
    properties = _given(document["cloud"], "properties", {})
    if not isinstance(properties, Mapping):
        faults.append("cloud.properties: expected an object")
        properties = {}
    key, found = (Block(block) if isinstance(block, str) else block).found(properties)
    own = _with_context(found, context, f"cloud.properties.{key}", faults)
    strict = _given(properties, "strict_properties", otherwise=False)
    if not isinstance(strict, bool):
        faults.append("cloud.properties.strict_properties: expected true or false")
    agent = _agent_defaults(properties, faults)
    read = CloudConfig(plugin=plugin, properties=own, agent=agent, context=context, strict_properties=strict is True)
    return read, faults


def _given(holder: Mapping[str, Any], key: str, otherwise: Any) -> Any:
    return otherwise if holder.get(key) is None else holder[key]


def _with_context(own: Any, context: "CallContext", where: str, faults: list[str]) -> Any:
    from cpi.contract.model import Overlaid

    if isinstance(own, list) and (own or context.properties):
        first = own[0] if own else {}  # a cpi-config may say all of it
        return [_with_context(first, context, f"{where}[0]", faults), *own[1:]]
    if not isinstance(own, Mapping):
        faults.append(f"{where}: expected an object")
        return own
    return Overlaid(own, context.properties)


def _agent_defaults(properties: Mapping[str, Any], faults: list[str]) -> "AgentDefaults":
    import msgspec

    from cpi.contract.encoding import from_plain
    from cpi.contract.model import AgentDefaults

    agent = _given(properties, "agent", {})
    if not isinstance(agent, Mapping):
        faults.append("cloud.properties.agent: expected an object")
        agent = {}
    wanted: dict[str, tuple[str, Any, Any]] = {
        "mbus": ("agent.mbus", agent.get("mbus"), str | None),
        "ntp": ("ntp", _given(properties, "ntp", _given(agent, "ntp", [])) or [], tuple[str, ...]),
        "blobstore": ("blobstore", _given(properties, "blobstore", agent.get("blobstore")) or None, Mapping[str, Any] | None),
    }
    told: dict[str, Any] = {}
    for name, (where, value, kind) in wanted.items():
        try:
            told[name] = from_plain(value, kind)
        except msgspec.ValidationError as error:
            faults.append(f"cloud.properties.{where}: {str(error).partition(' - at')[0]}")
    return AgentDefaults(**told)
