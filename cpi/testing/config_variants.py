"""Other configurations, made from a good one."""

from collections.abc import Mapping
from typing import Any, Final

from cpi import config, registry
from cpi.contract import errors

UNKNOWN_KEYS: Final = ("no_such_setting", "nor_this_one")


def block_replaced(document: Mapping[str, Any], block: object) -> Mapping[str, Any]:
    """The document with another thing in place of the plugin's own block."""
    properties = {**document["cloud"].get("properties", {}), _block_of(document): block}
    return {**document, "cloud": {**document["cloud"], "properties": properties}}


def with_settings(document: Mapping[str, Any], settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document with other settings in the plugin's own block."""
    block = document["cloud"].get("properties", {}).get(_block_of(document), {})
    if isinstance(block, list):
        return block_replaced(document, [{**block[0], **settings}, *block[1:]])
    return block_replaced(document, {**block, **settings})


def with_unknown_keys(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document with settings in the plugin's own block that no driver knows."""
    return with_settings(document, dict.fromkeys(UNKNOWN_KEYS, "value"))


def _block_of(document: Mapping[str, Any]) -> str:
    plugin = config.plugin_of(document)
    try:
        driver = registry.load(plugin)
    except errors.CpiError:
        return plugin
    return driver.block or driver.name
