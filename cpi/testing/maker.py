"""Short ways to make what a test needs, through the ledger."""

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from cpi.contract.ids import AgentId, DiskCid, StemcellCid, VmCid
from cpi.contract.model import Env, Networks, Vm
from cpi.contract.units import MiB
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger

T = TypeVar("T")


class Maker:
    """VMs and disks as the harness describes them."""

    def __init__(self, cloud: Ledger, harness: Harness, stemcell_cid: StemcellCid) -> None:
        self._cloud = cloud
        self._harness = harness
        self._stemcell_cid = stemcell_cid

    def vm(
        self,
        *,
        stemcell_cid: StemcellCid | None = None,
        networks: Networks | None = None,
        disk_cids: Sequence[DiskCid] = (),
        env: Env | None = None,
        token: str | None = None,
    ) -> Vm:
        """A VM, of the harness's making where nothing else is said."""
        return self._cloud.create_vm(
            fresh_agent_id(),
            stemcell_cid or self._stemcell_cid,
            self._harness.vm_cloud_properties,
            networks or self._harness.networks(),
            disk_cids,
            {**self._harness.env, **(env or {})},
            token,
        )

    def disk(self, size: MiB | None = None, *, vm_cid: VmCid | None = None, token: str | None = None) -> DiskCid:
        """A disk, of the harness's size where no other is said."""
        return self._cloud.create_disk(
            self._harness.disk_size if size is None else size, self._harness.disk_cloud_properties, vm_cid, token
        )


def fresh_agent_id() -> AgentId:
    """An agent id as a director makes it."""
    return AgentId(str(uuid.uuid4()))


def fresh_token() -> str:
    """A token that nobody used before."""
    return f"token-{uuid.uuid4()}"


def at_once(*calls: Callable[[], T]) -> list[T]:
    """What the calls answer that are begun at the same instant, in their order. Raises what the first of them raised."""
    start = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
