"""Tags: what everything gets at birth, and metadata cut to AWS's limits."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cpi.kit import tagging
from cpi_drivers.aws.api import errors
from cpi_drivers.aws.api.account import Account

_log = logging.getLogger(__name__)

LIMITS: Final = tagging.Limits(key=127, value=255, number=50)

# What a tag cannot hold is no reason to fail.
_OF_TAGS: Final = frozenset({"TagLimitExceeded", "InvalidParameterValue", "InvalidTag", "InvalidTagKey.Malformed"})

TOKEN: Final = tagging.TOKEN
REPLACES: Final = "multicpi-replaces"
NUMBER: Final = "multicpi-interface"
REPLACED_BY: Final = "multicpi-replacement"
BALANCERS: Final = "multicpi-elbs"
TARGET_GROUPS: Final = "multicpi-target-groups"


def initial_tags(account: Account, given: Mapping[str, Any], token: str | None = None) -> dict[str, str]:
    """Who made it, for whom, by which request; under what a manifest gives."""
    born = tagging.birth_tags(account.config.context, token)
    return tagging.fitted({**_allowed(given), **born}, LIMITS)


def as_pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """In the API's form."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def from_pairs(pairs: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """From the API's form."""
    return {pair["Key"]: pair.get("Value", "") for pair in pairs or ()}


def specification(kinds: Iterable[str], tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """TagSpecifications for several kinds of resource."""
    return [{"ResourceType": kind, "Tags": as_pairs(tags)} for kind in kinds] if tags else []


def with_tag(name: str, value: str) -> dict[str, Any]:
    """A filter."""
    return {"Name": f"tag:{name}", "Values": [value]}


def put(account: Account, resources: list[str], metadata: Mapping[str, Any], present: Mapping[str, str]) -> None:
    """Add metadata to resources; what does not fit is cut or left out. A tag that AWS refuses is logged, never fatal."""
    fitting = tagging.fitted(_allowed(metadata), LIMITS, present=present)
    if not fitting:
        return
    try:
        account.client.call("CreateTags", Resources=resources, Tags=as_pairs(fitting))
    except errors.Refused as error:
        if error.code not in _OF_TAGS:
            raise
        _log.warning("tags of %s were not set: %s", resources[0], error.message)


def name_from(metadata: Mapping[str, Any]) -> dict[str, str]:
    """The tag Name: the instance's name, or its job and index."""
    if metadata.get("name"):
        return {"Name": str(metadata["name"])}
    if metadata.get("compiling"):
        return {"Name": f"compiling/{metadata['compiling']}"}
    if metadata.get("job"):
        return {"Name": f"{metadata['job']}/{metadata.get('index', metadata.get('id', '?'))}"}
    return {}


def _allowed(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Keys that begin with `aws:` are AWS's own."""
    return {f"x-{key}" if str(key).lower().startswith("aws:") else str(key): value for key, value in metadata.items()}
