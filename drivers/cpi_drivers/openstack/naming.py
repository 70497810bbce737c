"""Names and tags of what is made."""

import hashlib
import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

from cpi.contract.model import CallContext, Metadata
from cpi.kit.tagging import TOKEN, Limits, birth_tags, fitted

# Nova and Cinder: 255 characters each; 128 items is Nova's default quota.
METADATA: Final = Limits(key=255, value=255, number=128)
# What both refuse in the name of an item.
_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_:. -]")
NETWORK: Final = "bosh-network"
_NETWORK_NAME: Final = re.compile(NETWORK + r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PORT_TAG: Final = "multicpi-vm-"
_NAMES: Final = uuid.UUID("5d2a2b0e-6f0c-4bd3-9d3e-6e1f3f1f3a55")


def name_of(kind: str, token: str | None) -> str:
    """A name that nothing else has; the same one for the same token."""
    return f"{kind}-{uuid.uuid5(_NAMES, token) if token else uuid.uuid4()}"


def is_network(name: str) -> bool:
    """Whether create_network has made the network of that name."""
    return bool(_NETWORK_NAME.fullmatch(name))


def server_tag(token: str) -> str:
    """The token as a tag of a server, which may have 60 characters."""
    return f"{TOKEN}-{hashlib.sha256(token.encode()).hexdigest()[:32]}"


def port_tag(vm_cid: str) -> str:
    """The tag of a VM's ports, by which they are found when the VM is gone."""
    return f"{PORT_TAG}{vm_cid}"


def metadata_at_birth(context: CallContext, token: str | None, more: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Who made it and for whom."""
    own = birth_tags(context, token)
    return {**fitted(_spelled(more or {}), METADATA._replace(number=METADATA.number - len(own))), **fitted(own, METADATA)}


def cut(metadata: Metadata) -> dict[str, str]:
    """Metadata as Nova and Cinder take it."""
    return fitted(_spelled(metadata), METADATA)


def _spelled(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {_NOT_IN_NAMES.sub("_", str(key)): value for key, value in metadata.items()}
