"""What CPIs made in a region, found by its tags, as `cpi sweep` lists it: one call for each kind, and one for each more page."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from cpi.contract.ids import DiskCid, NetworkCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.operator import Kind, TaggedResource
from cpi.kit.tagged import CREATED, OFFICIAL, is_tagged, may_delete, time_of
from cpi.kit.tagging import MADE_BY
from cpi_drivers.aws import tags
from cpi_drivers.aws.api import inventory
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.disks import lifecycle as disks
from cpi_drivers.aws.disks import snapshots
from cpi_drivers.aws.networks import managed as networks
from cpi_drivers.aws.stemcells import lifecycle as stemcells
from cpi_drivers.aws.vms import interfaces
from cpi_drivers.aws.vms import lifecycle as vms

Item = dict[str, Any]

_A_PAGE: Final = 500
_TAGGED: Final = {"Name": "tag-key", "Values": [MADE_BY, OFFICIAL]}
_LIVING: Final = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}


def tagged_resources(account: Account) -> list[TaggedResource]:
    """As in ListsTaggedResources."""
    images = _own_images(account)
    used = _uses(images)
    return [
        *(_vm(item) for item in _instances(account)),
        *(_interface(item) for item in _tagged(account, "DescribeNetworkInterfaces", "NetworkInterfaces")),
        *(_stemcell(item) for item in images if is_tagged(tags.from_pairs(item.get("Tags")))),
        *(_snapshot(item, used) for item in _tagged(account, "DescribeSnapshots", "Snapshots", OwnerIds=["self"])),
        *(_disk(item) for item in _tagged(account, "DescribeVolumes", "Volumes") if item["State"] != "deleting"),
        *_networks(account),
    ]


def delete(account: Account, resource: TaggedResource) -> None:
    """As in ListsTaggedResources: one call more than the deletion itself."""
    if may_delete(resource, _found(account, resource)):
        _DELETING[resource.kind](account, resource.id)


# ------------------------------------------------------------------ asked


def _pages(account: Account, operation: str, key: str, **parameters: Any) -> Iterator[Item]:
    for page in account.client.pages(operation, MaxResults=_A_PAGE, **parameters):
        yield from page.get(key, [])


def _tagged(account: Account, operation: str, key: str, **parameters: Any) -> Iterator[Item]:
    return _pages(account, operation, key, Filters=[_TAGGED], **parameters)


def _own_images(account: Account) -> list[Item]:
    """With those of others who work in this account: their snapshots are in use too."""
    return list(_pages(account, "DescribeImages", "Images", Owners=["self"]))


def _uses(images: list[Item]) -> dict[str, str]:
    return {str(snapshot): image["ImageId"] for image in images for snapshot in stemcells.snapshots_of(image)}


def _instances(account: Account) -> Iterator[Item]:
    for page in account.client.pages("DescribeInstances", MaxResults=_A_PAGE, Filters=[_TAGGED, _LIVING]):
        yield from inventory.items(page)


def _networks(account: Account) -> Iterator[TaggedResource]:
    """The interfaces on them are asked for only if there are any."""
    found = list(_tagged(account, "DescribeSubnets", "Subnets"))
    if not found:
        return
    on_them = [{"Name": "subnet-id", "Values": [item["SubnetId"] for item in found]}]
    users = {
        nic["SubnetId"]: nic.get("Attachment", {}).get("InstanceId") or nic["NetworkInterfaceId"]
        for nic in _pages(account, "DescribeNetworkInterfaces", "NetworkInterfaces", Filters=on_them)
    }
    for item in found:
        yield _resource("network", item["SubnetId"], item, users.get(item["SubnetId"], ""), item["CidrBlock"])


def _found(account: Account, resource: TaggedResource) -> TaggedResource | None:
    """The resource as it is now."""
    if resource.kind == "network":
        return next((one for one in _networks(account) if one.id == resource.id), None)
    if resource.kind == "snapshot":
        item = next(_one(account, "DescribeSnapshots", "Snapshots", "snapshot-id", resource.id, OwnerIds=["self"]), None)
        return None if item is None else _snapshot(item, _uses(_own_images(account)))
    if resource.kind == "VM":
        by_id = {"Name": "instance-id", "Values": [resource.id]}
        answer = account.client.call("DescribeInstances", Filters=[by_id, _LIVING])
        return next((_vm(item) for item in inventory.items(answer)), None)
    operation, key, name, read, owners = _LOOKS[resource.kind]
    return next((read(item) for item in _one(account, operation, key, name, resource.id, **owners)), None)


def _one(account: Account, operation: str, key: str, name: str, cid: str, **owners: Any) -> Iterator[Item]:
    """By a filter: an answer without it says that it is gone, which an error of a lookup by id would not for all kinds."""
    yield from account.client.call(operation, Filters=[{"Name": name, "Values": [cid]}], **owners)[key]


# ------------------------------------------------------------------ read


def _vm(item: Item) -> TaggedResource:
    held = tuple(mapping["Ebs"]["VolumeId"] for mapping in vms.persistent_disks(item))
    return _resource("VM", item["InstanceId"], item, "", item["InstanceType"], item.get("LaunchTime"), held)


def _interface(item: Item) -> TaggedResource:
    user = item.get("Attachment", {}).get("InstanceId") or item.get("Attachment", {}).get("AttachmentId", "")
    return _resource("interface", item["NetworkInterfaceId"], item, user, item.get("PrivateIpAddress", ""))


def _stemcell(item: Item) -> TaggedResource:
    return _resource("stemcell", item["ImageId"], item, "", item.get("Name", ""), item.get("CreationDate"))


def _snapshot(item: Item, used: Mapping[str, str]) -> TaggedResource:
    cid, size = item["SnapshotId"], f"{item['VolumeSize']} GiB"
    return _resource("snapshot", cid, item, used.get(cid, ""), size, item.get("StartTime"))


def _disk(item: Item) -> TaggedResource:
    user = next((one["InstanceId"] for one in item.get("Attachments", []) if one.get("State") != "detached"), "")
    size = f"{item['Size']} GiB {item['VolumeType']}"
    return _resource("disk", item["VolumeId"], item, user, size, item.get("CreateTime"))


def _resource(
    kind: Kind, cid: str, item: Item, user: str, description: str, created: Any = None, held: tuple[str, ...] = ()
) -> TaggedResource:
    there = tags.from_pairs(item.get("Tags") or item.get("TagSet"))
    return TaggedResource(
        kind=kind,
        id=cid,
        name=there.get("Name", ""),
        created=time_of(str(created or there.get(CREATED, ""))),
        tags=there,
        attached_to=user,
        holds=held,
        description=description,
    )


_LOOKS: Final[Mapping[Kind, tuple[str, str, str, Callable[[Item], TaggedResource], Mapping[str, Any]]]] = {
    "interface": ("DescribeNetworkInterfaces", "NetworkInterfaces", "network-interface-id", _interface, {}),
    "stemcell": ("DescribeImages", "Images", "image-id", _stemcell, {"Owners": ["self"]}),
    "disk": ("DescribeVolumes", "Volumes", "volume-id", _disk, {}),
}
_DELETING: Final[Mapping[Kind, Callable[[Account, str], object]]] = {
    "VM": lambda account, cid: vms.delete(account, VmCid(cid)),
    "interface": interfaces.delete_interface,
    "stemcell": lambda account, cid: stemcells.delete(account, StemcellCid(cid)),
    "snapshot": lambda account, cid: snapshots.delete(account, SnapshotCid(cid)),
    "disk": lambda account, cid: disks.remove(account, DiskCid(cid)),
    "network": lambda account, cid: networks.delete(account, NetworkCid(cid)),
}
