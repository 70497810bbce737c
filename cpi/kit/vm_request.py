"""What create_vm is asked for."""

from collections.abc import Sequence

import msgspec

from cpi.contract.ids import AgentId, DiskCid, StemcellCid
from cpi.contract.model import CloudProperties, Env, Networks


class VmRequest(msgspec.Struct, frozen=True):
    """The arguments of create_vm, as they came: nothing is read or looked up yet."""

    agent_id: AgentId
    stemcell_cid: StemcellCid
    cloud_properties: CloudProperties
    networks: Networks
    disk_cids: Sequence[DiskCid] = ()
    env: Env | None = None
    token: str | None = None
