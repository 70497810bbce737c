"""Octavia: VMs as members of load balancers' pools.

What a VM joined is written into its metadata (lbaas_pool_N: pool/member), as the official CPIs do, so that either can undo it.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from cpi.contract import errors
from cpi.kit.failures import AnswerLost, Passing
from cpi.kit.undo import Undo
from cpi.kit.waiting import Overdue
from cpi_drivers.openstack.api.client import Client, segment
from cpi_drivers.openstack.api.errors import Conflicting, Missing
from cpi_drivers.openstack.api.states import Document, Waits
from cpi_drivers.openstack.properties import Pool

_KEY: Final = "lbaas_pool_"
_BUSY: Final = frozenset({"PENDING_CREATE", "PENDING_UPDATE", "PENDING_DELETE"})


class Balancing:
    """The pools that VMs are members of."""

    def __init__(self, client: Client, waits: Waits) -> None:
        self._client = client
        self._waits = waits

    def join(self, pools: Sequence[Pool], name: str, address: Document, undo: Undo) -> dict[str, str]:
        """Make the VM a member of each; address is a fixed IP of its port. Answers the metadata that says so."""
        joined: dict[str, str] = {}
        for number, pool in enumerate(pools, 1):
            pool_id = self._pool_named(pool.name)
            member_id = self._add(pool_id, pool, name, address)
            undo.push(f"member {member_id} of pool {pool.name}", partial(self._remove, pool_id, member_id))
            self._settle(pool_id)
            joined[f"{_KEY}{number}"] = f"{pool_id}/{member_id}"
        return joined

    def leave(self, metadata: Mapping[str, Any]) -> None:
        """Take the VM out of every pool that its metadata lists, however one of them fails.

        Raises Overdue, Passing or AnswerLost if a repeat may get further.
        """
        faults: list[str] = []
        later: errors.CloudError | None = None
        for key, value in metadata.items():
            if key.startswith(_KEY):
                try:
                    self._remove(*_ids(value))
                except (Overdue, Passing, AnswerLost) as error:
                    later = later or error
                except errors.CloudError as error:
                    faults.append(error.message)
        if later is not None:
            raise later
        if faults:
            raise errors.CloudError("the VM is still a member of load balancers' pools: " + "; ".join(faults))

    def _pool_named(self, name: str) -> str:
        pools = list(self._client.pages("load-balancer", "/lbaas/pools", "pools", {"name": name}))
        if len(pools) != 1:
            said = "there is no load balancer pool" if not pools else f"{len(pools)} load balancer pools are called"
            raise errors.CloudError(f"{said} {name!r}")
        return str(pools[0]["id"])

    def _add(self, pool_id: str, pool: Pool, name: str, address: Document) -> str:
        member: dict[str, Any] = {
            "name": name,
            "address": address["ip_address"],
            "protocol_port": pool.port,
            "subnet_id": address["subnet_id"],
        }
        if pool.monitoring_port:
            member["monitor_port"] = pool.monitoring_port
        path = f"/lbaas/pools/{pool_id}/members"

        def post() -> Document | None:
            try:
                made: Document = self._client.post("load-balancer", path, {"member": member})["member"]
            except AnswerLost:
                return self._member(path, name)
            except Conflicting as error:
                return self._member(path, name) if "exist" in error.said.lower() else None  # otherwise the balancer is busy
            return made

        return str(self._waits.until(f"create_vm: pool {pool.name} takes no member", post)["id"])

    def _member(self, path: str, name: str) -> Document | None:
        return next(self._client.pages("load-balancer", path, "members", {"name": name}), None)

    def _remove(self, pool_id: str, member_id: str) -> None:
        path = f"/lbaas/pools/{segment(pool_id)}/members/{segment(member_id)}"

        def delete() -> Document | None:
            try:
                self._client.delete("load-balancer", path)
            except Missing:
                return {"gone": True}
            except Conflicting:
                return None
            return {"gone": True}

        self._waits.until(f"pool {pool_id} does not let go of member {member_id}", delete)
        self._settle(pool_id)

    def _settle(self, pool_id: str) -> None:
        """The change has reached the balancer."""

        def look() -> Document | None:
            try:
                pool: Document = self._client.get("load-balancer", f"/lbaas/pools/{pool_id}")["pool"]
            except Missing:
                return {"gone": True}
            if pool["provisioning_status"] == "ERROR":
                raise errors.CloudError(f"the load balancer pool {pool_id} is in state ERROR")
            return None if pool["provisioning_status"] in _BUSY else pool

        self._waits.until(f"pool {pool_id} is still being changed", look)


def _ids(value: Any) -> tuple[str, str]:
    pool_id, _, member_id = str(value).partition("/")
    return pool_id, member_id
