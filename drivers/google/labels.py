"""Labels: what everything gets at birth, and metadata cut to Google's grammar."""

import hashlib
import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from cpi.kit import tagging
from drivers.google.account import Account

_log = logging.getLogger(__name__)

LIMITS: Final = tagging.Limits(key=63, value=63, number=64)
TOKEN: Final = tagging.TOKEN
REPLACES: Final = "multicpi-replaces"
REPLACED_BY: Final = "multicpi-replaced-by"
_FIRST: Final = frozenset(name.lower() for name in tagging.BOSH_NAMES)
_REFUSED: Final = re.compile(r"[^a-z0-9_-]")
_SHORT: Final = 40


def at_birth(account: Account, given: Mapping[str, Any], token: str | None = None) -> dict[str, str]:
    """Who made it, for whom, by which request; under what a manifest gives."""
    born = tagging.birth_tags(account.config.context, spelled_token(token) if token else None)
    return _fitted({**given, **born}, {})


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
