"""An instance: what a VM is made of, so that it can be made again."""

from collections.abc import Mapping
from typing import Any

import msgspec

from cpi.agent.reaching import Reach
from cpi.contract.ids import DiskCid, StemcellCid, VmCid
from cpi.contract.model import CloudProperties, Env, Metadata, Network, Networks
from cpi.kit.secret_references import resolved
from cpi.resurrection.growth.policy import Policy


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One instance, as its owner describes it. Secrets in env, properties and spec may be references (kit)."""

    name: str
    config: str
    """The path of the cloud's configuration, absolute."""

    vm: VmCid
    """The VM that it was when this was written; what has replaced it since is in the database."""

    stemcell: StemcellCid
    networks: Mapping[str, Mapping[str, Any]]
    group: str
    agent_id: str | None = None
    properties: CloudProperties = {}
    env: Env = {}
    disks: tuple[DiskCid, ...] = ()
    follow_moves: bool = True
    """Whether its disks are those that have replaced the named ones since; otherwise they are what the file names."""

    metadata: Metadata = {}
    spec: Mapping[str, Any] | None = None
    """What the agent is told to apply. Without one, no jobs are started."""

    agent: Reach = Reach()
    grow: Policy | None = None
    """How its disk grows by itself; None: as its group says."""

    def __repr__(self) -> str:
        return f"Instance({self.name!r}, {self.vm!r})"

    @property
    def is_stateful(self) -> bool:
        """Whether it has a persistent disk."""
        return bool(self.disks)

    def revealed_networks(self) -> Networks:
        """As create_vm takes them."""
        return {name: Network.from_document(document) for name, document in resolved(self.networks).items()}

    def reach(self, agent_id: str | None) -> Reach:
        """How the agent of that id is reached."""
        return msgspec.structs.replace(self.agent, agent_id=agent_id or self.agent.agent_id)
