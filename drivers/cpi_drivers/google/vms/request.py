"""What create_vm was asked for, read and checked; and the attempts that may meet it."""

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from cpi.contract import errors as contract_errors
from cpi.contract.ids import AgentId, DiskCid, StemcellCid
from cpi.contract.model import Env, Networks
from cpi.kit.settings import read_cloud_properties
from cpi_drivers.google import naming
from cpi_drivers.google.api import errors
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.disks import lifecycle as disks
from cpi_drivers.google.networks import requested as interfaces
from cpi_drivers.google.properties import VmProperties
from cpi_drivers.google.vms import machine_types

_LEAST_DOMAINS: Final = 2
_MOST_DOMAINS: Final = 8


class Candidate(NamedTuple):
    """One way to meet the wish."""

    machine_type: str
    zone: str

    def __str__(self) -> str:
        return f"{self.machine_type} in {self.zone}"


@dataclasses.dataclass(frozen=True)
class Wish:
    """The arguments of create_vm."""

    agent_id: AgentId
    stemcell_cid: StemcellCid
    properties: VmProperties
    networks: Networks
    plan: interfaces.Plan
    disk_cids: Sequence[DiskCid]
    env: Env
    token: str | None
    seed: str
    """What name and request ids are made of: the token, or something new."""

    @property
    def name(self) -> str:
        """The VM's name, which is its CID."""
        return self.properties.name or naming.vm_name(self.seed)

    @property
    def bosh(self) -> Mapping[str, Any]:
        """env.bosh."""
        found = self.env.get("bosh", {})
        return found if isinstance(found, Mapping) else {}

    @property
    def group(self) -> str:
        """The instance group, with its deployment and director; empty for a VM of none."""
        found = self.bosh.get("group")
        return found if isinstance(found, str) else ""


def read_wish(
    account: Account,
    agent_id: AgentId,
    stemcell_cid: StemcellCid,
    cloud_properties: Mapping[str, Any],
    networks: Networks,
    disk_cids: Sequence[DiskCid],
    env: Env | None,
    token: str | None,
) -> Wish:
    """Raises CpiError for everything that can be known without a call."""
    strict = account.config.strict_properties
    properties = read_cloud_properties(VmProperties, cloud_properties, strict=strict)
    _check_machines(properties)
    _check_placement(properties)
    plan = interfaces.plan(networks, strict=strict)
    if properties.name and not naming.is_name(properties.name):
        raise contract_errors.CpiError(f"cloud_properties.name: {properties.name!r} is no name for a VM at Google")
    seed = token or uuid.uuid4().hex
    return Wish(agent_id, stemcell_cid, properties, networks, plan, disk_cids, env or {}, token, seed)


def _check_machines(properties: VmProperties) -> None:
    for name in machine_types.names(properties):
        if properties.ephemeral_disk_type:
            machine_types.local_ssds(name)


def _check_placement(properties: VmProperties) -> None:
    domains = properties.availability_domains
    if domains is None:
        return
    if properties.placement_policy:
        raise contract_errors.CpiError("cloud_properties.placement_policy: excludes availability_domains")
    if not _LEAST_DOMAINS <= domains <= _MOST_DOMAINS:
        raise contract_errors.CpiError(
            f"cloud_properties.availability_domains: {domains} is not {_LEAST_DOMAINS} to {_MOST_DOMAINS}, as Google has them"
        )


def candidates(account: Account, wish: Wish) -> list[Candidate]:
    """What to try, in order: every type in the first zone, then in the next.

    Raises CpiError that explains a contradiction, DiskNotFound; before anything is made.
    """
    types = machine_types.names(wish.properties)
    return [Candidate(machine_type, zone) for zone in _zones(account, wish) for machine_type in types]


def _zones(account: Account, wish: Wish) -> list[str]:
    one = (wish.properties.zone,) if wish.properties.zone else ()
    named = list(dict.fromkeys((*one, *wish.properties.zones)))
    fixed = _zones_of_disks(account, wish.disk_cids)
    demanded = set(fixed.values())
    if not named and not demanded and account.settings.default_zone:
        return [account.settings.default_zone]
    if not named and not demanded:
        raise contract_errors.CpiError("cloud properties have faults:\n  cloud_properties.zone: is missing (or zones)")
    allowed = [zone for zone in named or demanded if not demanded or zone in demanded]
    if len(demanded) > 1 or not allowed:
        places = "".join(f"\n  disk {cid} is in {zone}" for cid, zone in fixed.items())
        wishes = f"\n  the VM's properties name {', '.join(named)}" if named else ""
        raise contract_errors.CpiError(f"no zone suits the VM; a disk can be attached inside its own zone only:{places}{wishes}")
    return allowed


def _zones_of_disks(account: Account, disk_cids: Sequence[DiskCid]) -> dict[str, str]:
    found = {item["name"]: naming.last(item["zone"]) for item in disks.find(account, list(disk_cids))}
    missing = [cid for cid in disk_cids if cid not in found]
    if missing:
        raise errors.DiskMissing(f"there is no disk {', '.join(missing)}")
    return found
