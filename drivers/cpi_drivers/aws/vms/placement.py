"""Where a VM goes: the zone on which its disks, its subnets and its properties agree."""

from collections.abc import Sequence

from cpi.contract import errors
from cpi.contract.ids import DiskCid
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.properties import VmProperties


def zones_to_try(
    account: Account, properties: VmProperties, subnets: Sequence[str], disk_cids: Sequence[DiskCid]
) -> list[str | None]:
    """The zones that may be tried, in order; [None] where EC2 or the only subnet decides.

    Raises CpiError that explains a contradiction, before anything is made.
    """
    named = properties.availability_zones or ((properties.availability_zone,) if properties.availability_zone else ())
    if not disk_cids and not (named and subnets) and len(subnets) < 2:  # noqa: PLR2004 - one subnet contradicts nothing
        return list(named) or [None]
    fixed = {**_zones_of_disks(account, disk_cids), **{f"subnet {cid}": account.facts.subnet(cid).zone for cid in subnets}}
    demanded = set(fixed.values())
    allowed = [zone for zone in named if not demanded or zone in demanded]
    if len(demanded) > 1 or (named and not allowed):
        raise errors.CpiError(_contradiction(fixed, named))
    return list(allowed) or [demanded.pop()]


def _zones_of_disks(account: Account, disk_cids: Sequence[DiskCid]) -> dict[str, str]:
    if not disk_cids:
        return {}
    found = account.client.call("DescribeVolumes", VolumeIds=list(dict.fromkeys(map(str, disk_cids))))["Volumes"]
    return {f"disk {item['VolumeId']}": item["AvailabilityZone"] for item in found}


def _contradiction(fixed: dict[str, str], named: Sequence[str | None]) -> str:
    places = [f"  {what} is in {zone}" for what, zone in fixed.items()]
    requests = [f"  the VM's properties name {', '.join(map(str, named))}"] if named else []
    return "no availability zone suits the VM; a disk can be attached inside its own zone only:\n" + "\n".join(
        [*places, *requests]
    )
