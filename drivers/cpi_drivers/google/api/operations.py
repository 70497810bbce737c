"""Every API method the driver calls, and nothing else: the client refuses what is not here.

From this table come the discovery documents that ship with the driver and the least role.
"""

from typing import Final

METHODS: Final[dict[str, tuple[str, ...]]] = {
    "compute.backendServices.get": ("compute.backendServices.get",),
    "compute.disks.aggregatedList": ("compute.disks.list",),
    "compute.disks.createSnapshot": ("compute.disks.createSnapshot", "compute.snapshots.create", "compute.snapshots.setLabels"),
    "compute.disks.delete": ("compute.disks.delete",),
    "compute.disks.get": ("compute.disks.get",),
    "compute.disks.insert": ("compute.disks.create", "compute.snapshots.useReadOnly"),
    "compute.disks.resize": ("compute.disks.resize",),
    "compute.disks.setLabels": ("compute.disks.setLabels",),
    "compute.disks.update": ("compute.disks.update",),
    "compute.globalOperations.wait": ("compute.globalOperations.get",),
    "compute.images.delete": ("compute.images.delete",),
    "compute.images.get": ("compute.images.get",),
    "compute.images.getFromFamily": ("compute.images.getFromFamily",),
    "compute.images.list": ("compute.images.list",),
    "compute.images.insert": ("compute.images.create", "compute.images.setLabels"),
    "compute.instanceGroups.addInstances": ("compute.instanceGroups.update", "compute.instances.use"),
    "compute.instanceGroups.removeInstances": ("compute.instanceGroups.update",),
    "compute.instances.aggregatedList": ("compute.instances.list",),
    "compute.instances.attachDisk": ("compute.instances.attachDisk", "compute.disks.use"),
    "compute.instances.delete": ("compute.instances.delete",),
    "compute.instances.detachDisk": ("compute.instances.detachDisk",),
    "compute.instances.get": ("compute.instances.get",),
    "compute.instances.insert": (
        "compute.instances.create",
        "compute.instances.setLabels",
        "compute.instances.setMetadata",
        "compute.instances.setServiceAccount",
        "compute.instances.setTags",
        "compute.images.useReadOnly",
        "compute.addresses.use",
        "compute.subnetworks.use",
        "compute.subnetworks.useExternalIp",
        "compute.resourcePolicies.use",
        "iam.serviceAccounts.actAs",
    ),
    "compute.instances.reset": ("compute.instances.reset",),
    "compute.instances.setLabels": ("compute.instances.setLabels",),
    "compute.instances.setMetadata": ("compute.instances.setMetadata",),
    "compute.instances.start": ("compute.instances.start",),
    "compute.networks.list": ("compute.networks.list",),
    "compute.projects.get": ("compute.projects.get",),
    "compute.regionBackendServices.get": ("compute.regionBackendServices.get",),
    "compute.regionOperations.wait": ("compute.regionOperations.get",),
    "compute.regions.list": ("compute.regions.list",),
    "compute.resourcePolicies.delete": ("compute.resourcePolicies.delete",),
    "compute.resourcePolicies.get": ("compute.resourcePolicies.get",),
    "compute.resourcePolicies.insert": ("compute.resourcePolicies.create",),
    "compute.snapshots.delete": ("compute.snapshots.delete",),
    "compute.snapshots.get": ("compute.snapshots.get",),
    "compute.snapshots.list": ("compute.snapshots.list",),
    "compute.subnetworks.aggregatedList": ("compute.subnetworks.list",),
    "compute.subnetworks.delete": ("compute.subnetworks.delete",),
    "compute.subnetworks.insert": ("compute.subnetworks.create", "compute.networks.updatePolicy"),
    "compute.targetPools.addInstance": ("compute.targetPools.addInstance", "compute.instances.use"),
    "compute.targetPools.aggregatedList": ("compute.targetPools.list",),
    "compute.targetPools.removeInstance": ("compute.targetPools.removeInstance",),
    "compute.zoneOperations.list": ("compute.zoneOperations.list",),
    "compute.zoneOperations.wait": ("compute.zoneOperations.get",),
    "compute.zones.list": ("compute.zones.list",),
    "storage.buckets.delete": ("storage.buckets.delete",),
    "storage.buckets.insert": ("storage.buckets.create",),
    "storage.buckets.list": ("storage.buckets.list",),
    "storage.objects.delete": ("storage.objects.delete",),
    "storage.objects.get": ("storage.objects.get",),
    "storage.objects.insert": ("storage.objects.create", "storage.objects.get"),
    "cloudresourcemanager.projects.testIamPermissions": (),
}
"""The permissions that each method needs, with what Google checks on its behalf."""


COURTESIES: Final[dict[str, str]] = {
    "compute.disks.setLabels": "labels of disks",
    "compute.images.setLabels": "labels of stemcells",
    "compute.instances.setLabels": "labels of VMs, by which a repeat of create_vm finds its VM in any zone",
    "compute.snapshots.list": "update_disk to another type",
    "compute.snapshots.setLabels": "labels of snapshots",
    "compute.zoneOperations.list": "telling a VM that is being deleted from one that stops",
    "storage.buckets.delete": "removing the bucket that a heavy stemcell passed through",
    "storage.buckets.list": "finding such a bucket when a killed call left it",
}
"""What each permission buys that the driver can do without: a refusal is logged."""


def permissions() -> list[str]:
    """All of them, sorted."""
    return sorted({permission for needed in METHODS.values() for permission in needed})
