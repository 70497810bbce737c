"""From what a file says to a responder: ours by name, those of others among the entry points."""

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Final

from cpi.contract import errors
from cpi.kit.secret_references import resolved
from cpi.resurrection.alert import SEVERITIES
from cpi.resurrection.responders.responder import Responder

ENTRY_POINT_GROUP: Final = "cpi.responders"
LEAST: Final = "least"
_TYPE: Final = "type"
_OURS: Final = {
    "log": "cpi.resurrection.responders.log:Log",
    "webhook": "cpi.resurrection.responders.webhook:Webhook",
    "mail": "cpi.resurrection.responders.mail:Mail",
    "pagerduty": "cpi.resurrection.responders.pagerduty:PagerDuty",
}


def responder_of(document: Any, where: str) -> Responder:
    """The responder that a file asks for. Raises CpiError listing its faults."""
    kind = document.get(_TYPE) if isinstance(document, Mapping) else None
    if not isinstance(kind, str):
        raise errors.CpiError(f"{where}.{_TYPE}: is missing; known types: {', '.join(_names())}")
    if document.get(LEAST, SEVERITIES[0]) not in SEVERITIES:
        raise errors.CpiError(f"{where}.{LEAST}: {document[LEAST]!r} must be one of {', '.join(SEVERITIES)}")
    settings = {key: value for key, value in document.items() if key not in {_TYPE, LEAST}}
    return _class(kind, where).made(resolved(settings), where)


def _class(kind: str, where: str) -> type[Responder]:
    target = _OURS.get(kind) or next((entry.value for entry in entry_points(group=ENTRY_POINT_GROUP, name=kind)), None)
    if target is None:
        raise errors.CpiError(f"{where}.{_TYPE}: unknown responder {kind!r}; known responders: {', '.join(_names())}")
    module, _, name = target.partition(":")
    try:
        found: type[Responder] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise errors.CpiError(f"{where}.{_TYPE}: the responder {kind!r} cannot be loaded: {error}") from error
    return found


def _names() -> list[str]:
    return sorted({*_OURS, *(entry.name for entry in entry_points(group=ENTRY_POINT_GROUP))})
