"""What a running VM still needs: its Elastic IP, its routes, its load balancers."""

import ipaddress
from typing import Any

from cpi.contract import errors as contract_errors
from cpi.contract.ids import VmCid
from cpi.kit.undo import Undo
from cpi_drivers.aws.api import errors
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.properties import Route
from cpi_drivers.aws.vms import balancing
from cpi_drivers.aws.vms.interfaces import keep_with_vm
from cpi_drivers.aws.vms.request import WantedVm

Item = dict[str, Any]


class PostLaunch:
    """What was looked up before the VM was made: a missing address or target group is no reason to make and remove a VM."""

    def __init__(self, account: Account, wanted: WantedVm) -> None:
        self._account = account
        self._wanted = wanted
        self._address = _allocation(account, wanted.plan.vip) if wanted.plan.vip else None
        self._groups = balancing.target_groups(account, wanted.properties.lb_target_groups)

    def connect(self, vm: Item, undo: Undo) -> None:
        """Everything may be repeated."""
        vm_cid, properties = VmCid(vm["InstanceId"]), self._wanted.properties
        nics = sorted(vm.get("NetworkInterfaces", []), key=lambda nic: nic.get("Attachment", {}).get("DeviceIndex", 0))
        keep_with_vm(self._account, vm)
        if not properties.source_dest_check:
            for nic in nics:
                wanted = {"Value": False}
                self._account.client.call(
                    "ModifyNetworkInterfaceAttribute", NetworkInterfaceId=nic["NetworkInterfaceId"], SourceDestCheck=wanted
                )
        if self._address:
            nic = nics[self._wanted.plan.vip_interface]["NetworkInterfaceId"]
            self._account.client.call(
                "AssociateAddress", AllocationId=self._address, NetworkInterfaceId=nic, AllowReassociation=True
            )
        balancing.join(self._account, vm_cid, properties.elbs, self._groups)
        for route in properties.advertised_routes:
            _lead(self._account, route, nics[0]["NetworkInterfaceId"], undo)


def _allocation(account: Account, address: str) -> str:
    try:
        found = account.client.call("DescribeAddresses", PublicIps=[address])["Addresses"]
    except errors.NetworkMissing:
        found = []
    if not found:
        raise contract_errors.CloudError(f"the Elastic IP {address} is not of this account and region: allocate it first")
    allocation: str = found[0]["AllocationId"]
    return allocation


def _lead(account: Account, route: Route, nic: str, undo: Undo) -> None:
    version = ipaddress.ip_network(route.destination, strict=False).version
    destination = {"DestinationCidrBlock" if version == 4 else "DestinationIpv6CidrBlock": route.destination}  # noqa: PLR2004 - IPv4
    try:
        account.client.call("CreateRoute", RouteTableId=route.table_id, NetworkInterfaceId=nic, **destination)
        undo.push(f"route {route.destination}", lambda: _unlead(account, route, destination))
    except errors.Refused as error:
        if error.code != "RouteAlreadyExists":
            raise
        former = _target_of(account, route)
        account.client.call("ReplaceRoute", RouteTableId=route.table_id, NetworkInterfaceId=nic, **destination)
        if former:
            undo.push(
                f"route {route.destination}",
                lambda: account.client.call("ReplaceRoute", RouteTableId=route.table_id, **destination, **former),
            )


def _unlead(account: Account, route: Route, destination: dict[str, str]) -> None:
    account.client.call("DeleteRoute", RouteTableId=route.table_id, **destination)


_TARGETS = (
    "NetworkInterfaceId",
    "GatewayId",
    "NatGatewayId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
    "EgressOnlyInternetGatewayId",
)


def _target_of(account: Account, route: Route) -> dict[str, str]:
    tables = account.client.call("DescribeRouteTables", RouteTableIds=[route.table_id])["RouteTables"]
    for item in (item for table in tables for item in table.get("Routes", [])):
        if route.destination in (item.get("DestinationCidrBlock"), item.get("DestinationIpv6CidrBlock")):
            return next(({key: item[key]} for key in _TARGETS if item.get(key)), {})
    return {}
