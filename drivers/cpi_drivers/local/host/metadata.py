"""Names and values on a resource: strings of bounded length, whatever comes."""

import json
from typing import Any, Final

from cpi.contract.model import Metadata

_LONGEST: Final = 255
_MOST: Final = 200


def as_strings(metadata: Metadata) -> dict[str, str]:
    """metadata as it is kept: every name and value a string, cut to 255 characters."""
    return {_text(name): _text(value) for name, value in metadata.items()}


def added(present: str, metadata: Metadata) -> str:
    """The JSON document present with metadata laid over it; what is more than 200 names is left out, newest first."""
    merged = {**json.loads(present), **as_strings(metadata)}
    return json.dumps(dict(list(merged.items())[:_MOST]))


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[:_LONGEST].encode(errors="replace").decode()
