"""What is otherwise with this CPI than with the official one: facts that each driver ships, told where they touch a user."""

import importlib.resources
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from cpi import config as configuration
from cpi import connecting, registry
from cpi.contract.cloud import Cloud
from cpi.contract.encoding import from_plain
from cpi.contract.operator import Finding

_PLACE: Final = ("doctor", "switching.json")


class Difference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of them."""

    otherwise: str
    """What is otherwise, in a sentence."""

    key: str = ""
    """The key of the driver's own block that it is about, with dots for keys inside; none: it touches everybody."""

    value: Any = msgspec.field(name="is", default=msgspec.UNSET)
    """It touches those who have this value, null for those who have none. Default: all who have the key."""

    def touches(self, properties: Mapping[str, Any]) -> bool:
        """Whether it is about a block like this."""
        if not self.key:
            return True
        found: Any = properties
        for part in self.key.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found is not None if self.value is msgspec.UNSET else bool(found == self.value)


def differences_of(plugin: str) -> tuple[Difference, ...]:
    """All that a driver knows of; none for a driver that takes nobody's place."""
    package = registry.load(plugin).__module__.rpartition(".")[0]
    file = importlib.resources.files(package or plugin).joinpath(*_PLACE)
    return from_plain(json.loads(file.read_bytes()), tuple[Difference, ...]) if file.is_file() else ()


def differences(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Those that touch this configuration, which a director has now."""
    plugin = configuration.plugin_of(document)
    block = _own_block(registry.load(plugin), document)
    for difference in differences_of(plugin):
        if difference.touches(block):
            yield Finding(difference.key or "otherwise", "warning", difference.otherwise)


def _own_block(cloud: type[Cloud], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of several entries the first; with what official jobs write beside it."""
    properties = document["cloud"].get("properties") or {}
    _, found = connecting.block_of(cloud).found(properties)
    first = found[0] if isinstance(found, list) and found else found
    beside = {key: properties[key] for key in ("registry", "plugins") if properties.get(key)}
    return {**beside, **(first if isinstance(first, Mapping) else {})}
