"""Labels are a courtesy: what a role does not allow to be labelled is made all the same, and the log says it once."""

import logging
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from drivers.google import errors, labels
from drivers.google.account import Account

_log = logging.getLogger(__name__)

Item = dict[str, Any]
T = TypeVar("T")

_PERMISSION: Final = re.compile(r"\bcompute\.(\w+)\.setLabels\b")


def refused_kind(error: errors.Refusal) -> str | None:
    """disks, snapshots and so on, if the refusal is about their labels."""
    found = _PERMISSION.search(error.message) if isinstance(error, errors.Denied) else None
    return found[1] if found else None


def made(account: Account, kind: str, body: Item, call: Callable[[Item], T]) -> T:
    """What call answers to the body, without those labels in it that the role does not allow. kind: of what is made.

    A label by which a repeat finds what an earlier call has made is no courtesy.
    """
    if labels.REPLACES in body.get("labels", {}):
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


def _remember(account: Account, kind: str, error: errors.Refusal) -> None:
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
