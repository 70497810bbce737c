"""create_network and delete_network: subnets of a VPC."""

import functools
import uuid
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.ids import NetworkCid, VmCid
from cpi.contract.model import CreatedNetwork, NetworkAddresses, NetworkDefinition
from cpi.kit.ip_ranges import Range, Sizes, made_in_free_range
from cpi.kit.settings import read_cloud_properties
from cpi.kit.tagged import CREATED, now_text
from cpi.kit.undo import Undo
from cpi_drivers.aws import tags
from cpi_drivers.aws.api import errors, inventory
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.properties import NetworkProperties

Item = dict[str, Any]

_SIZES: Final = Sizes("EC2", 16, 28)
_SHOWN_SECONDS: Final = 60.0
_CONFLICT: Final = "InvalidSubnet.Conflict"
# Of each subnet EC2 keeps the first four addresses and the last: network, router, resolver, spare, broadcast.
_RESERVED: Final = (0, 2, 3, -1)


def create(account: Account, definition: NetworkDefinition) -> CreatedNetwork:
    """A subnet with the range, or with a free one of the size."""
    properties = read_cloud_properties(NetworkProperties, definition.cloud_properties, strict=account.config.strict_properties)
    wanted = _SIZES.range_of(definition) if definition.range else None
    bits = wanted.prefixlen if wanted else _SIZES.check(definition.netmask_bits)
    vpc = properties.vpc or account.facts.default_vpc()
    if vpc is None:
        region = account.settings.signing_region
        raise contract_errors.CpiError(f"cloud_properties.vpc: is missing, and {region} has no default VPC")
    make = functools.partial(_made, account, properties, vpc)
    if wanted:
        return make(wanted)
    return made_in_free_range(bits, vpc, _blocks(account, vpc), lambda: _taken(account, vpc), make, _is_conflict)


def delete(account: Account, network_cid: NetworkCid) -> None:
    """Waits for VMs on their way out. Raises NetworkNotFound; CloudError that names what is on it."""

    def deleted() -> bool:
        try:
            account.client.call("DeleteSubnet", SubnetId=str(network_cid))
        except errors.NetworkMissing as error:
            if not error.after_lost_answer:
                raise
        except errors.Refused as error:
            if error.code != "DependencyViolation":
                raise
            _raise_unless_leaving(account, network_cid, error)
            return False
        return True

    account.wait(deleted, f"the network {network_cid} stays in use", account.patience.address_busy)


def _is_conflict(error: contract_errors.CloudError) -> bool:
    return isinstance(error, errors.Refused) and error.code == _CONFLICT


def _blocks(account: Account, vpc: str) -> list[Range]:
    found = account.client.call("DescribeVpcs", VpcIds=[vpc]).get("Vpcs", [])
    if not found:
        raise errors.NetworkMissing(f"there is no VPC {vpc} in {account.settings.signing_region}")
    blocks = found[0].get("CidrBlockAssociationSet", [])
    associated = [one["CidrBlock"] for one in blocks if one.get("CidrBlockState", {}).get("State", "associated") == "associated"]
    return [Range(block) for block in associated or [found[0]["CidrBlock"]]]


def _taken(account: Account, vpc: str) -> list[Range]:
    pages = account.client.pages("DescribeSubnets", Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    return [Range(one["CidrBlock"]) for page in pages for one in page["Subnets"] if one.get("CidrBlock")]


def _made(account: Account, properties: NetworkProperties, vpc: str, cidr: Range) -> CreatedNetwork:
    seed = uuid.uuid4().hex
    born = {**tags.initial_tags(account, {}, seed), CREATED: now_text()}
    zone = {"AvailabilityZone": properties.availability_zone} if properties.availability_zone else {}
    request = {"VpcId": vpc, "CidrBlock": str(cidr), **zone, "TagSpecifications": tags.specification(["subnet"], born)}
    with Undo() as undo:
        undo.push("a subnet whose making was not answered", lambda: _remove_made_by(account, seed))
        cid = NetworkCid(_created(account, request, seed)["SubnetId"])
        undo.push(f"network {cid}", functools.partial(_remove, account, cid))
        _wait_until_available(account, cid)
        if properties.route_table:
            account.client.call("AssociateRouteTable", RouteTableId=properties.route_table, SubnetId=str(cid))
    groups = {"security_groups": list(properties.security_groups)} if properties.security_groups else {}
    addresses = NetworkAddresses(str(cidr), str(cidr[1]), tuple(str(cidr[index]) for index in _RESERVED))
    return CreatedNetwork(cid, addresses, {"subnet": str(cid), **groups})


def _created(account: Account, request: Item, seed: str) -> Item:
    """EC2 has no client token here. A repeat whose range is taken meets the first try's subnet, or another one's."""
    try:
        made: Item = account.client.call("CreateSubnet", **request)["Subnet"]
    except errors.Refused as error:
        if not (_is_conflict(error) and error.after_lost_answer):
            raise
        conflict = error
        return account.wait(lambda: _own_or_raise(account, request, seed, conflict), "the subnet is not shown", _SHOWN_SECONDS)
    return made


def _own_or_raise(account: Account, request: Item, seed: str, conflict: errors.Refused) -> Item | None:
    filters = [{"Name": "vpc-id", "Values": [request["VpcId"]]}]
    pages = account.client.pages("DescribeSubnets", Filters=filters)
    wanted = Range(request["CidrBlock"])
    there = [one for page in pages for one in page["Subnets"] if Range(one["CidrBlock"]).overlaps(wanted)]
    own = [one for one in there if tags.from_pairs(one.get("Tags")).get(tags.TOKEN) == seed]
    if there and not own:
        raise conflict
    return own[0] if own else None


def _remove_made_by(account: Account, seed: str) -> None:
    for item in account.client.call("DescribeSubnets", Filters=[tags.with_tag(tags.TOKEN, seed)])["Subnets"]:
        _remove(account, NetworkCid(item["SubnetId"]))


def _remove(account: Account, cid: NetworkCid) -> None:
    try:
        account.client.call("DeleteSubnet", SubnetId=str(cid))
    except errors.NetworkMissing:
        return


def _wait_until_available(account: Account, cid: NetworkCid) -> None:
    def available() -> bool:
        found = account.client.call("DescribeSubnets", SubnetIds=[str(cid)]).get("Subnets", [])
        return bool(found) and found[0].get("State", "available") == "available"

    account.wait(available, f"the network {cid} is not available", account.patience.disk_ready)


def _raise_unless_leaving(account: Account, cid: NetworkCid, error: errors.Refused) -> None:
    filters = [{"Name": "subnet-id", "Values": [str(cid)]}]
    for nic in account.client.call("DescribeNetworkInterfaces", Filters=filters)["NetworkInterfaces"]:
        vm_cid = nic.get("Attachment", {}).get("InstanceId")
        if not vm_cid:
            holder = f"the network interface {nic['NetworkInterfaceId']} ({nic.get('Description') or 'no description'})"
            raise errors.Refused(f"{holder} is on the network {cid}: remove it first") from error
        if inventory.is_alive(account, VmCid(vm_cid)):
            raise errors.Refused(f"the VM {vm_cid} is on the network {cid}: delete it first") from error
