"""VMs that exist: found, rebooted, tagged, deleted."""

import contextlib
from typing import Any, Final

from cpi.contract.ids import VmCid
from cpi.contract.model import Metadata
from cpi_drivers.aws import tags
from cpi_drivers.aws.api import errors, inventory
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.vms import balancing

Item = dict[str, Any]

_TO_BE_DELETED: Final = {"Name": "to be deleted"}


def reboot(account: Account, vm_cid: VmCid) -> None:
    """EC2 asks the guest and, where it does not follow, does it the hard way itself. A VM that is off is started."""
    state = inventory.describe_living(account, vm_cid)["State"]["Name"]
    if state == "stopping":
        account.wait(lambda: _is_in(account, vm_cid, "stopped"), f"the VM {vm_cid} does not stop", account.patience.vm_running)
    account.client.call("StartInstances" if state in ("stopped", "stopping") else "RebootInstances", InstanceIds=[str(vm_cid)])


def set_metadata(account: Account, vm_cid: VmCid, metadata: Metadata) -> None:
    """Tags on the VM, its own disks and its interfaces."""
    item = inventory.describe_living(account, vm_cid)
    own = [mapping["Ebs"]["VolumeId"] for mapping in item.get("BlockDeviceMappings", []) if _is_own(item, mapping)]
    nics = [nic["NetworkInterfaceId"] for nic in item.get("NetworkInterfaces", [])]
    wanted = {**metadata, **tags.name_from(metadata)}
    tags.put(account, [str(vm_cid), *own, *nics], wanted, tags.from_pairs(item.get("Tags")))


def persistent_disks(item: Item) -> list[Item]:
    """The mappings of persistent disks: attached later, so they outlive the VM."""
    return [mapping for mapping in item.get("BlockDeviceMappings", []) if mapping.get("Ebs") and not _is_own(item, mapping)]


def delete(account: Account, vm_cid: VmCid) -> None:
    """Terminate it and wait until it is gone. One that is gone is success."""
    try:
        item = inventory.describe(account, vm_cid)
    except errors.VmMissing:
        return
    if item["State"]["Name"] == "terminated":
        return
    balancing.leave(account, vm_cid, tags.from_pairs(item.get("Tags")))
    terminate(account, vm_cid, wait=not account.settings.fast_path_delete)
    if account.settings.fast_path_delete:
        tags.put(account, [str(vm_cid)], _TO_BE_DELETED, tags.from_pairs(item.get("Tags")))
        return
    _delete_left_interfaces(account, item)


def terminate(account: Account, vm_cid: VmCid, *, wait: bool = True) -> None:
    """Its own disks and interfaces go with it, its persistent disks are detached, its addresses are free."""
    with contextlib.suppress(errors.VmMissing):
        account.client.call("TerminateInstances", InstanceIds=[str(vm_cid)])
        if wait:
            account.wait(lambda: _is_in(account, vm_cid, "terminated"), f"the VM {vm_cid} is not gone", account.patience.vm_gone)


def _delete_left_interfaces(account: Account, item: Item) -> None:
    """Interfaces that were made before the VM and not yet told to go with it: its maker was killed."""
    from cpi_drivers.aws.vms.interfaces import delete_interface

    staying = [nic["NetworkInterfaceId"] for nic in item.get("NetworkInterfaces", []) if not _goes_with_vm(nic)]
    if not staying:
        return
    ours = [{"Name": "network-interface-id", "Values": staying}, {"Name": "tag-key", "Values": ["multicpi"]}]
    for left in account.client.call("DescribeNetworkInterfaces", Filters=ours)["NetworkInterfaces"]:
        delete_interface(account, left["NetworkInterfaceId"])


def _goes_with_vm(nic: Item) -> bool:
    return bool(nic.get("Attachment", {}).get("DeleteOnTermination"))


def _is_in(account: Account, vm_cid: VmCid, state: str) -> bool:
    return bool(inventory.describe(account, vm_cid)["State"]["Name"] == state)


def _is_own(item: Item, mapping: Item) -> bool:
    if not mapping.get("Ebs"):
        return False
    return bool(mapping["Ebs"].get("DeleteOnTermination")) or mapping["DeviceName"] == item.get("RootDeviceName")
