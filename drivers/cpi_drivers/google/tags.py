"""Labels: what everything gets when it is made, and metadata cut to Google's grammar.

Labels are a courtesy: what a role may not label is made all the same, and the log says so once.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from cpi.kit import tagging
from cpi_drivers.google.api import errors
from cpi_drivers.google.api.account import Account

_log = logging.getLogger(__name__)

LIMITS: Final = tagging.Limits(key=63, value=63, number=64)
TOKEN: Final = tagging.TOKEN
REPLACES: Final = "multicpi-replaces"
REPLACED_BY: Final = "multicpi-replaced-by"
_FIRST: Final = frozenset(spelled for name in tagging.BOSH_NAMES for spelled in (name.lower(), name.lower().replace("_", "-")))
_REFUSED: Final = re.compile(r"[^a-z0-9_-]")
_SHORT: Final = 40
_PERMISSION: Final = re.compile(r"\bcompute\.(\w+)\.setLabels\b")

Item = dict[str, Any]
T = TypeVar("T")


def initial_tags(account: Account, given: Mapping[str, Any], token: str | None = None) -> dict[str, str]:
    """Who made it, for whom, by which request; under what a manifest gives."""
    born = tagging.birth_tags(account.config.context, spelled_token(token) if token else None)
    return _fitted({**given, **born}, {})


def dashed(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What the director says of a VM, under the official CPI's names of labels: instance-group, created-at."""
    return {str(key).replace("_", "-"): value for key, value in metadata.items()}


def with_items(items: list[Item], metadata: Mapping[str, Any]) -> list[Item]:
    """A VM's metadata with what BOSH itself says of it; other names may mean something to Google's guest software."""
    said = {key: str(value) for key, value in metadata.items() if key in tagging.BOSH_NAMES and value is not None}
    present = {one["key"]: one.get("value") for one in items}
    news = {key: value for key, value in said.items() if present.get(key) != value}
    if not news:
        return items
    return [*(one for one in items if one["key"] not in news), *({"key": key, "value": value} for key, value in news.items())]


def added(metadata: Mapping[str, Any], present: Mapping[str, str]) -> dict[str, str]:
    """What is there with metadata added; what does not fit is cut or left out."""
    return {**present, **_fitted(metadata, present)}


def spelled_token(token: str) -> str:
    """A token as a label: what it says is nobody's business, and may be longer than a label."""
    return hashlib.sha256(token.encode()).hexdigest()[:_SHORT]


def having(name: str, value: str) -> str:
    """A filter."""
    return f'labels.{name} = "{value}"'


def _fitted(metadata: Mapping[str, Any], present: Mapping[str, str]) -> dict[str, str]:
    keyed = {_key(str(key)): value for key, value in metadata.items()}
    return tagging.fitted(keyed, LIMITS, present=present, spelled=_spelled, first=_FIRST)


def _spelled(text: str) -> str:
    return _REFUSED.sub("-", text.lower())


def _key(name: str) -> str:
    """A label's key begins with a letter."""
    spelled = _spelled(name)
    return spelled if not spelled or spelled[0].isalpha() else f"n{spelled}"


def refused_kind(error: errors.Refused) -> str | None:
    """disks, snapshots and so on, if the refusal is about their labels."""
    found = _PERMISSION.search(error.message) if isinstance(error, errors.Denied) else None
    return found[1] if found else None


def made(account: Account, kind: str, body: Item, call: Callable[[Item], T]) -> T:
    """What call answers to the body, without those labels in it that the role does not allow. kind: of what is made.

    A label by which a repeat finds what an earlier call has made is no courtesy.
    """
    if REPLACES in body.get("labels", {}):
        return call(body)
    wanted = body
    for known in sorted(account.unlabelled):
        wanted = _without(wanted, known, kind)
    while True:
        try:
            return call(wanted)
        except errors.Denied as error:
            refused = refused_kind(error)
            less = _without(wanted, refused, kind) if refused else wanted
            if refused is None or less == wanted:
                raise
            _remember(account, refused, error)
            wanted = less


def changed(account: Account, kind: str, call: Callable[[], object]) -> None:
    """Labels that call sets on what is there, if the role allows it."""
    if kind in account.unlabelled:
        return
    try:
        call()
    except errors.Denied as error:
        if refused_kind(error) != kind:
            raise
        _remember(account, kind, error)


def _remember(account: Account, kind: str, error: errors.Refused) -> None:
    account.unlabelled.add(kind)
    _log.warning("%s get no labels, since the role lacks compute.%s.setLabels: %s", kind, kind, error.message)


def _without(body: Item, refused: str, made_kind: str) -> Item:
    """A VM's body has the labels of its root disk in it too."""
    less = {key: value for key, value in body.items() if key != "labels" or refused != made_kind}
    if refused == "disks" and "disks" in less:
        less["disks"] = [_disk_without(one) for one in less["disks"]]
    return less


def _disk_without(disk: Item) -> Item:
    params = {key: value for key, value in disk.get("initializeParams", {}).items() if key != "labels"}
    return {**disk, "initializeParams": params} if params else disk
