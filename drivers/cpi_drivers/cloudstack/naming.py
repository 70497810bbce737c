"""Names of what is made, which are its CIDs, and tags."""

import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

from cpi.contract.model import CallContext
from cpi.kit.tagging import Limits, birth_tags, fitted

TAGS: Final = Limits(key=255, value=255, number=128)

_PREFIXES: Final = {"vm": "cpivm", "disk": "cpi-disk", "snapshot": "cpi-snapshot"}
_EPHEMERAL: Final = re.compile(r"^(DATA-\d+$|cpi-ephemeral-disk-)")
_NAMES: Final = uuid.UUID("b06c5b1c-5a2e-4b60-9a43-3b1a2f6ec1ce")
# The API refuses control characters; its database has room for characters of the basic plane alone.
_NOT_IN_TAGS: Final = re.compile(r"[\x00-\x1f\x7f]|[^\u0000-\uffff]")


def name_of(kind: str, token: str | None) -> str:
    """A name that nothing else has; the same one for the same token."""
    return f"{_PREFIXES[kind]}-{uuid.uuid5(_NAMES, token) if token else uuid.uuid4()}"


def template_name() -> str:
    """A name that nothing else has, in the 32 characters that templates may have."""
    return f"stemcell-{uuid.uuid4().hex[:23]}"


def is_id(cid: str) -> bool:
    """Whether it is an id of CloudStack's, and not a name."""
    try:
        return str(uuid.UUID(cid)) == cid.lower()
    except ValueError:
        return False


def by(cid: str) -> dict[str, str]:
    """How a list finds it."""
    return {"id": cid} if is_id(cid) else {"name": cid}


def is_ephemeral(name: str) -> bool:
    """Whether a disk of this name came with its VM: as CloudStack names it, or as the official CPI does."""
    return bool(_EPHEMERAL.match(name))


def cut(metadata: Mapping[str, Any], present: Mapping[str, str] | None = None) -> dict[str, str]:
    """Metadata as tags; an empty value is refused by the API and left out."""
    fitting = fitted(metadata, TAGS, present=present, spelled=lambda text: _NOT_IN_TAGS.sub("_", text))
    return {key: value for key, value in fitting.items() if value.strip() and key.strip()}


def initial_tags(context: CallContext, token: str | None, more: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Who made it and for whom."""
    own = cut(birth_tags(context, token))
    return {**cut(more or {}, own), **own}
