"""Names of what is made, and the ids behind CIDs. Pure."""

import re
import uuid
from typing import Final

from cpi.contract.model import CallContext, Metadata
from cpi.kit.tagging import Limits, birth_tags, fitted

LIGHT: Final = " light"
_NAMES: Final = uuid.UUID("5c9f64b5-9d0a-4f0e-8a56-2f8f7c1f3a30")
_URN: Final = re.compile(r"^urn:vcloud:(\w+):([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$", re.IGNORECASE)
_PATHS: Final = {
    "vm": "/api/vApp/vm-{}",
    "disk": "/api/disk/{}",
    "catalogitem": "/api/catalogItem/{}",
}
_METADATA: Final = Limits(key=256, value=1000, number=200)
_NOT_IN_XML: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def name_of(kind: str, token: str | None) -> str:
    """A name that nothing else has; the same one for the same token."""
    return f"{kind}-{uuid.uuid5(_NAMES, token) if token else uuid.uuid4()}"


def path_of(cid: str, kind: str) -> str | None:
    """Where an entity of a kind is; None for what is no id of that kind."""
    found = _URN.match(cid.removesuffix(LIGHT))
    if found is None or found[1].lower() != kind:
        return None
    return _PATHS[kind].format(found[2].lower())


def urn_of(href: str, kind: str) -> str:
    """The id of what is at an address."""
    return f"urn:vcloud:{kind}:{uuid_of(href)}"


def uuid_of(text: str) -> str:
    """The UUID at the end of an id or an address."""
    return text.rstrip("/")[-36:].lower()


def is_uuid(name: str) -> bool:
    """Whether a name is a UUID, as agents' ids are."""
    try:
        return str(uuid.UUID(name)) == name.lower()
    except ValueError:
        return False


def cut(metadata: Metadata) -> dict[str, str]:
    """Metadata as the API takes it; an empty value would be refused and is left out."""
    fitting = fitted(metadata, _METADATA, spelled=lambda text: _NOT_IN_XML.sub("_", text))
    return {key: value for key, value in fitting.items() if key.strip() and value.strip()}


def initial_tags(context: CallContext, token: str | None, more: Metadata | None = None) -> dict[str, str]:
    """Who made it and for whom."""
    return {**cut(more or {}), **cut(birth_tags(context, token))}
