"""Where a disk goes that leaves its cloud: the other cloud, and the VM that is made there for it."""

import uuid
from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

from cpi.agent.reaching import Reach
from cpi.contract import errors
from cpi.contract.ids import AgentId, StemcellCid
from cpi.contract.model import CloudProperties, Env, Metadata, Network, Networks
from cpi.kit.secret_references import resolved


class Way(Enum):
    """How data gets from the old guest to the new one."""

    AUTO = "auto"
    """Directly if the old guest can reach the new one, otherwise through the worker."""

    DIRECT = "direct"
    """By SSH from the old guest to the new one."""

    WORKER = "worker"
    """By SSH from the machine that runs the move to each of them."""


class Destination(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The VM that takes the place of the old one, as its owner describes it. Secrets may be references."""

    stemcell: StemcellCid
    networks: Mapping[str, Mapping[str, Any]]
    config: str = ""
    """The path of the other cloud's configuration, absolute: a process that takes the move up reads it there."""

    name: str = ""
    """The instance's, for people."""

    properties: CloudProperties = {}
    """The VM's, in the other cloud."""

    env: Env = {}
    spec: Mapping[str, Any] | None = None
    """What the new agent applies. Without one its jobs cannot be started."""

    metadata: Metadata = {}
    agent: Reach = Reach()
    way: Way = Way.AUTO
    compress: bool = False
    """Whether what passes between the guests is compressed."""

    keep_hours: int = 168
    """How long the old VM and its disk are meant to be kept, as the way back."""

    def __repr__(self) -> str:
        return f"Destination({self.name!r}, {self.stemcell!r})"

    def agent_id(self, token: str) -> AgentId:
        """The new agent's: the same for each process that makes the VM."""
        return AgentId(str(uuid.uuid5(uuid.NAMESPACE_OID, f"{token} {self.config}")))

    def reach(self, token: str) -> Reach:
        """How the new agent is reached."""
        return msgspec.structs.replace(self.agent, agent_id=str(self.agent_id(token)))

    def revealed_networks(self) -> Networks:
        """As create_vm takes them. Raises CpiError."""
        try:
            return {name: Network.from_document(document) for name, document in resolved(self.networks).items()}
        except msgspec.ValidationError as error:
            raise errors.CpiError(f"networks: {error}") from error
