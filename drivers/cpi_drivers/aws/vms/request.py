"""What create_vm was asked for, read and checked; and the attempts that may meet it."""

import dataclasses
import hashlib
import itertools
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from cpi.contract import errors
from cpi.contract.ids import AgentId, DiskCid, StemcellCid
from cpi.contract.model import Env, Networks
from cpi.kit.settings import read_cloud_properties
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.api.facts import RootDisk
from cpi_drivers.aws.networks import requested as interfaces
from cpi_drivers.aws.properties import VmProperties
from cpi_drivers.aws.settings import AwsSettings
from cpi_drivers.aws.vms import placement
from cpi_drivers.aws.vms.agent_settings import user_data
from cpi_drivers.aws.vms.launch_disks import launch_disks_of


class Candidate(NamedTuple):
    """One way to meet the request."""

    vm_type: str
    zone: str | None
    spot: bool

    def __str__(self) -> str:
        return f"{self.vm_type}{f' in {self.zone}' if self.zone else ''}{' (spot)' if self.spot else ''}"


@dataclasses.dataclass(frozen=True)
class WantedVm:
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
    """What client tokens are made of: the token, or something new."""

    @property
    def ami(self) -> str:
        """The image: a light stemcell's CID has a word after it."""
        return self.stemcell_cid.split()[0]

    def client_token(self, *parts: object) -> str:
        """The same for the same token and the same parts: EC2 answers a repeat with what it made before."""
        return hashlib.sha256("\0".join([self.seed, *map(str, parts)]).encode()).hexdigest()

    def metadata_options(self, settings: AwsSettings) -> dict[str, Any]:
        """The VM's own over those of the configuration."""
        both = (settings.metadata_options, self.properties.metadata_options)
        return {key: value for one in both for key, value in msgspec.structs.asdict(one).items() if value is not None}

    def given_tags(self) -> dict[str, Any]:
        """What the manifest gives the VM: those of env, and under them those of the VM type."""
        bosh = self.env.get("bosh", {})
        return {**(bosh.get("tags") or {} if isinstance(bosh, Mapping) else {}), **self.properties.tags}

    def user_data(self, account: Account, candidate: Candidate, root: RootDisk, macs: Mapping[str, str]) -> str:
        """Raises CpiError if EC2 would not take it."""
        disks = launch_disks_of(self.properties, root, account.facts.vm_type(candidate.vm_type), account.settings)
        return user_data(self.agent_id, self.networks, macs, self.env, account.config.agent, disks, root.device)


def read_request(
    account: Account,
    agent_id: AgentId,
    stemcell_cid: StemcellCid,
    cloud_properties: Mapping[str, Any],
    networks: Networks,
    disk_cids: Sequence[DiskCid],
    env: Env | None,
    token: str | None,
) -> WantedVm:
    """Raises CpiError for everything that can be known without a call."""
    strict = account.config.strict_properties
    properties = read_cloud_properties(VmProperties, cloud_properties, strict=strict)
    plan = interfaces.plan(networks, strict=strict)
    wanted = WantedVm(agent_id, stemcell_cid, properties, networks, plan, disk_cids, env or {}, token, token or uuid.uuid4().hex)
    if not wanted.properties.vm_types:
        raise errors.CpiError("cloud properties have faults:\n  cloud_properties.instance_type: is missing (or instance_types)")
    if properties.auto_assign_public_ip and not plan.made_at_launch:
        raise errors.CpiError("auto_assign_public_ip: EC2 gives a public address to VMs with one network only; use a vip network")
    _check_tags(account, wanted)
    _check_user_data(account, wanted)
    return wanted


def candidates(account: Account, wanted: WantedVm) -> list[Candidate]:
    """Every combination in the order of the manifest; spot before its fallback."""
    zones = placement.zones_to_try(account, wanted.properties, wanted.plan.subnets, wanted.disk_cids)
    markets = [False]
    if wanted.properties.spot_bid_price:
        markets = [True, False] if wanted.properties.spot_ondemand_fallback else [True]
    return [
        Candidate(vm_type, zone, spot) for spot, vm_type, zone in itertools.product(markets, wanted.properties.vm_types, zones)
    ]


def _check_tags(account: Account, wanted: WantedVm) -> None:
    """Before anything is made."""
    if wanted.metadata_options(account.settings).get("instance_metadata_tags") != "enabled":
        return
    refused = [key for key in wanted.given_tags() if not re.fullmatch(r"[\w+\-=.,:@]+", str(key))]
    if refused:
        raise errors.CpiError(
            f"tags {', '.join(map(repr, refused))}: with metadata_options.instance_metadata_tags EC2 takes keys of letters,"
            " digits and + - = . , _ : @ only; rename them, or turn instance_metadata_tags off"
        )


def _check_user_data(account: Account, wanted: WantedVm) -> None:
    """Before any call, with a root disk and MAC addresses as they usually are."""
    from cpi_drivers.aws.api import vm_types

    macs = {} if wanted.plan.made_at_launch else dict.fromkeys(wanted.networks, "02:00:00:00:00:00")
    root = RootDisk("/dev/xvda", None)
    kind = vm_types.shipped(wanted.properties.vm_types[0]) or vm_types.guessed(wanted.properties.vm_types[0])
    disks = launch_disks_of(wanted.properties, root, kind, account.settings)
    user_data(wanted.agent_id, wanted.networks, macs, wanted.env, account.config.agent, disks, root.device)
