"""VMs that exist, as EC2 lists them."""

from collections.abc import Mapping
from typing import Any, Final

from cpi.contract.ids import VmCid
from cpi_drivers.aws.api import errors
from cpi_drivers.aws.api.account import Account

Item = dict[str, Any]

GONE: Final = frozenset({"shutting-down", "terminated"})


def items(answer: Mapping[str, Any]) -> list[Item]:
    """The VMs in an answer of DescribeInstances."""
    return [item for reservation in answer.get("Reservations", []) for item in reservation.get("Instances", [])]


def describe(account: Account, vm_cid: VmCid) -> Item:
    """The VM, dead or alive. Raises VMNotFound."""
    found = items(account.client.call("DescribeInstances", InstanceIds=[str(vm_cid)]))
    if not found:
        raise errors.VmMissing(f"there is no VM {vm_cid}")
    return found[0]


def describe_living(account: Account, vm_cid: VmCid) -> Item:
    """The VM. Raises VMNotFound if it is gone or going."""
    item = describe(account, vm_cid)
    if item["State"]["Name"] in GONE:
        raise errors.VmMissing(f"the VM {vm_cid} is {item['State']['Name']}")
    return item


def is_alive(account: Account, vm_cid: VmCid) -> bool:
    """Whether it exists and is not going."""
    try:
        describe_living(account, vm_cid)
    except errors.VmMissing:
        return False
    return True
