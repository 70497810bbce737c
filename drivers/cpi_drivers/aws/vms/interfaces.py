"""Network interfaces made before their VM, so that the agent can be told their MAC addresses."""

import dataclasses
import uuid
from typing import Any

from cpi.contract import errors as contract_errors
from cpi.contract.ids import VmCid
from cpi.kit.tagged import CREATED, now_text
from cpi.kit.undo import Undo
from cpi_drivers.aws import tags
from cpi_drivers.aws.api import errors, inventory
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.networks.requested import Interface
from cpi_drivers.aws.networks.security_groups import group_ids
from cpi_drivers.aws.vms.request import WantedVm


@dataclasses.dataclass(frozen=True)
class Made:
    """An interface that was made."""

    cid: str
    mac: str
    plan: Interface


def make_interfaces(account: Account, wanted: WantedVm, undo: Undo) -> list[Made]:
    """One for each planned interface, ready to be attached; remembered in undo. What a killed call left is taken up."""
    left = _left(account, wanted) if wanted.token else {}
    return [
        _made(account, wanted, planned, index, left.get(str(index)), undo) for index, planned in enumerate(wanted.plan.interfaces)
    ]


def keep_with_vm(account: Account, vm: dict[str, Any]) -> None:
    """Let the interfaces go when the VM goes: for those made before it, EC2 takes that only afterwards."""
    for nic in vm.get("NetworkInterfaces", []):
        attachment = nic.get("Attachment", {})
        if not attachment.get("DeleteOnTermination"):
            wanted = {"AttachmentId": attachment["AttachmentId"], "DeleteOnTermination": True}
            account.client.call(
                "ModifyNetworkInterfaceAttribute", NetworkInterfaceId=nic["NetworkInterfaceId"], Attachment=wanted
            )


def delete_interface(account: Account, cid: str) -> None:
    """Delete it once nothing uses it; one that is gone is success."""

    def deleted() -> bool:
        try:
            account.client.call("DeleteNetworkInterface", NetworkInterfaceId=cid)
        except errors.NetworkMissing:
            return True
        except errors.Refused as error:
            if error.code not in ("InvalidParameterValue", "InvalidNetworkInterface.InUse"):
                raise
            return False
        return True

    account.wait(deleted, f"the network interface {cid} stays in use", account.patience.address_busy)


def raise_unless_leaving(account: Account, interface: dict[str, Any], error: errors.Refused) -> None:
    """Tell who holds the address of an interface, unless that is a VM on its way out. interface: as EC2 takes it."""
    address = interface.get("PrivateIpAddress")
    filters = [
        {"Name": "subnet-id", "Values": [interface.get("SubnetId", "")]},
        {"Name": "addresses.private-ip-address", "Values": [address or ""]},
    ]
    holders = account.client.call("DescribeNetworkInterfaces", Filters=filters)["NetworkInterfaces"]
    for holder in holders:
        vm_cid = holder.get("Attachment", {}).get("InstanceId")
        if not vm_cid:
            raise errors.Refused(
                f"the address {address} is held by the network interface {holder['NetworkInterfaceId']}, which no VM has"
            ) from error
        if inventory.is_alive(account, VmCid(vm_cid)):
            raise errors.Refused(f"the address {address} is held by {vm_cid}, which lives") from error


def _left(account: Account, wanted: WantedVm) -> dict[str, dict[str, Any]]:
    """By their number, the free interfaces that carry the request's token."""
    filters = [tags.with_tag(tags.TOKEN, wanted.seed), {"Name": "status", "Values": ["available"]}]
    found = account.client.call("DescribeNetworkInterfaces", Filters=filters)["NetworkInterfaces"]
    return {tags.from_pairs(item.get("TagSet")).get(tags.NUMBER, ""): item for item in found}


def _made(account: Account, wanted: WantedVm, planned: Interface, index: int, left: dict[str, Any] | None, undo: Undo) -> Made:
    answer = left or _create_when_address_is_free(account, wanted, planned, index)
    cid: str = answer["NetworkInterfaceId"]
    undo.push(f"network interface {cid}", lambda: delete_interface(account, cid))
    return Made(cid, _wait_until_there(account, cid)["MacAddress"], planned)


def _wait_until_there(account: Account, cid: str) -> dict[str, Any]:
    def there() -> dict[str, Any] | None:
        found = account.client.call("DescribeNetworkInterfaces", NetworkInterfaceIds=[cid])["NetworkInterfaces"]
        if not found:
            raise errors.NetworkMissing(f"there is no network interface {cid}")
        item: dict[str, Any] = found[0]
        return item if item.get("Status", "available") in ("available", "in-use") else None

    return account.wait(there, f"the network interface {cid} is not ready", account.patience.disk_ready)


def _create_when_address_is_free(account: Account, wanted: WantedVm, planned: Interface, index: int) -> dict[str, Any]:
    groups = group_ids(account, wanted.properties.security_groups or wanted.plan.security_groups, planned.subnet)
    if not planned.subnet:
        raise contract_errors.CpiError(f"networks {', '.join(planned.names)}: a VM with several networks needs a subnet for each")
    born = {**tags.initial_tags(account, wanted.properties.tags, wanted.seed), tags.NUMBER: str(index), CREATED: now_text()}
    request = {
        "SubnetId": planned.subnet,
        "ClientToken": uuid.uuid4().hex,
        "TagSpecifications": tags.specification(["network-interface"], born),
        **planned.api_addresses(),
        **({"Groups": groups} if groups else {}),
    }

    def created() -> dict[str, Any] | None:
        try:
            made: dict[str, Any] = account.client.call("CreateNetworkInterface", **request)["NetworkInterface"]
        except errors.Refused as error:
            if error.code != "InvalidIPAddress.InUse":
                raise
            raise_unless_leaving(account, request, error)
            return None
        return made

    return account.wait(
        created, f"an address of the networks {', '.join(planned.names)} stays in use", account.patience.address_busy
    )
