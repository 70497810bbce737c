"""Clouds with one fault each, in what they do with stemcells, snapshots, networks, metadata, and what they say of themselves."""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import Cid, DiskCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import (
    CreatedNetwork,
    Info,
    Metadata,
    NetworkDefinition,
)
from cpi.contract.operator import TaggedResource
from tests.suite.faults import found_by
from tests.suite.memory_cloud import MemoryCloud


@found_by(
    "set_vm_metadata_raises_never_for_an_odd_value",
    "set_disk_metadata_raises_never_for_an_odd_value",
)
class RefusesOddMetadata(MemoryCloud):
    """Tags that the cloud does not take are errors."""

    def _tag(self, cid: Cid, metadata: Metadata) -> None:
        for key, value in metadata.items():
            if not isinstance(value, str | int) or len(str(value)) > 255:
                raise errors.CloudError(f"the tag {key[:20]} is not allowed")
        super()._tag(cid, metadata)


@found_by(
    "set_vm_metadata_then_it_is_added_to_what_is_there",
    "set_disk_metadata_then_it_is_added_to_what_is_there",
)
class ReplacesMetadata(MemoryCloud):
    """New tags take the place of all the old ones."""

    def _tag(self, cid: Cid, metadata: Metadata) -> None:
        self.memory.tags.pop(cid, None)
        super()._tag(cid, metadata)


@found_by(
    "set_disk_metadata_then_it_is_added_to_what_is_there",
    "set_disk_metadata_raises_disk_not_found",
)
class ShowsOtherTags(MemoryCloud):
    """What it tells of a disk is not what was put on it, and it tells that of a disk that does not exist too."""

    def disk_tags(self, disk_cid: DiskCid) -> dict[str, str]:
        """As in ShowsDiskTags, but cut."""
        return {key: value[:4] for key, value in self.memory.tags.get(disk_cid, {}).items()}


@found_by(
    "tagged_resources_then_what_was_made_is_listed",
    "tagged_resources_then_a_disk_and_its_vm_name_each_other",
    "tagged_resources_again_lists_the_same",
    "delete_tagged_resource_then_it_alone_is_gone",
    "delete_tagged_resource_again_is_success",
    "delete_tagged_resource_raises_cloud_error_for_one_that_is_used",
    "delete_tagged_resource_raises_cloud_error_for_one_that_has_changed",
)
class ListsAPageOnly(MemoryCloud):
    """The list ends after the first page, before any disk."""

    def tagged_resources(self) -> Sequence[TaggedResource]:
        """As in ListsTaggedResources, but cut."""
        return [one for one in super().tagged_resources() if one.kind in {"VM", "stemcell"}]


@found_by(
    "tagged_resources_raises_cloud_error_when_it_is_not_certain",
)
class ListsNothingIfItCannot(MemoryCloud):
    """A cloud that cannot be reached is said to hold nothing."""

    def tagged_resources(self) -> Sequence[TaggedResource]:
        """As in ListsTaggedResources, but without the error."""
        return super().tagged_resources() if self.settings.reachable else []


@found_by(
    "delete_tagged_resource_raises_cloud_error_for_one_that_is_used",
    "delete_tagged_resource_raises_cloud_error_for_one_that_has_changed",
)
class DeletesWithoutLooking(MemoryCloud):
    """What was listed is deleted, whatever it is now."""

    def delete_tagged_resource(self, resource: TaggedResource) -> None:
        """As in ListsTaggedResources, but without the look."""
        self.memory.disks.pop(DiskCid(resource.id), None)
        self.memory.vms.pop(VmCid(resource.id), None)
        for disk in self.memory.disks.values():
            disk.vm_cid = None if disk.vm_cid == resource.id else disk.vm_cid


@found_by(
    "delete_tagged_resource_again_is_success",
)
class InsistsOnTaggedResources(MemoryCloud):
    """One that is gone is an error."""

    def delete_tagged_resource(self, resource: TaggedResource) -> None:
        """As in ListsTaggedResources, but only once."""
        if resource.id not in {one.id for one in self.tagged_resources()}:
            raise errors.CloudError(f"there is no {resource.kind} {resource.id}")
        super().delete_tagged_resource(resource)


@found_by(
    "delete_tagged_resource_then_it_alone_is_gone",
)
class DeletesDisksWithTheirVm(MemoryCloud):
    """A VM takes its persistent disks with it."""

    def _delete_resource(self, resource: TaggedResource) -> None:
        for disk_cid in resource.holds:
            self.memory.disks.pop(DiskCid(disk_cid), None)
        super()._delete_resource(resource)


@found_by(
    "delete_snapshot_then_the_disk_is_untouched",
)
class DeletesDisksWithSnapshots(MemoryCloud):
    """delete_snapshot detaches the disk that it was taken of."""

    def delete_snapshot(self, snapshot_cid: SnapshotCid) -> None:
        for disk in self.memory.disks.values():
            disk.vm_cid = None
        super().delete_snapshot(snapshot_cid)


@found_by(
    "delete_snapshot_given_any_cid_succeeds",
    "delete_snapshot_again_is_success",
)
class InsistsOnSnapshots(MemoryCloud):
    """delete_snapshot of a missing one is an error."""

    def delete_snapshot(self, snapshot_cid: SnapshotCid) -> None:
        if snapshot_cid not in self.memory.snapshots:
            raise errors.CloudError(f"the snapshot {snapshot_cid} does not exist")
        super().delete_snapshot(snapshot_cid)


@found_by(
    "create_stemcell_then_a_vm_can_be_made_at_once",
    "create_stemcell_then_it_carries_tags",
    "create_stemcell_again_is_usable_beside_the_first",
    "delete_stemcell_then_it_is_gone",
    "delete_stemcell_again_is_success",
    "delete_stemcell_raises_cloud_error_when_it_is_not_certain",
)
class LeaksStemcells(MemoryCloud):
    """delete_stemcell forgets to delete."""

    def delete_stemcell(self, stemcell_cid: StemcellCid) -> None:
        """Nothing of it."""


@found_by(
    "create_stemcell_given_a_file_that_is_not_there_is_refused",
    "create_stemcell_raises_cpi_error_for_what_is_no_image",
)
class TakesAnyImage(MemoryCloud):
    """create_stemcell does not look at the image."""

    def _read_image(self, image_path: str) -> None:
        """Not at all."""


@found_by(
    "info_then_it_tells_formats_and_version",
    "info_then_it_is_told_without_the_cloud",
)
class ReportsAnOldVersion(MemoryCloud):
    """info says 1, with which no director works."""

    def info(self) -> Info:
        return Info(stemcell_formats=self.stemcell_formats, api_version=1)


@found_by(
    "snapshot_disk_given_a_disk_attached_or_not_is_taken",
    "snapshot_disk_then_the_disk_stays_as_it_is",
    "snapshot_disk_then_it_carries_metadata",
    "snapshot_disk_again_makes_another",
    "snapshot_disk_raises_disk_not_found",
    "snapshot_disk_raises_not_implemented_without_the_capability",
    "delete_snapshot_given_any_cid_succeeds",
    "delete_snapshot_then_the_disk_is_untouched",
    "delete_snapshot_again_is_success",
    "delete_snapshot_raises_cloud_error_when_it_is_not_certain",
    "delete_snapshot_raises_not_implemented_without_the_capability",
    "snapshot_disk_given_a_disk_in_use_leaves_its_data",
    "connect_then_the_powers_declared_are_the_methods_overridden",
    "tagged_resources_then_what_was_made_is_listed",
)
class DeclaresWhatItLacks(MemoryCloud, powers="of each instance"):
    """SNAPSHOTS is declared, and refused."""

    snapshot_disk = Cloud.snapshot_disk
    delete_snapshot = Cloud.delete_snapshot


@found_by(
    "set_disk_metadata_given_a_disk_attached_or_not_succeeds",
    "set_disk_metadata_then_it_is_added_to_what_is_there",
    "set_disk_metadata_again_changes_nothing",
    "set_disk_metadata_raises_disk_not_found",
    "set_disk_metadata_raises_never_for_an_odd_value",
    "set_disk_metadata_raises_not_implemented_without_the_capability",
    "connect_then_the_powers_declared_are_the_methods_overridden",
)
class LacksWithTheWrongError(MemoryCloud, powers="of each instance"):
    """DISK_METADATA is not declared, and refused with an error that ends deployments."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability) - {Capability.DISK_METADATA}

    def set_disk_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        raise errors.NotSupported("there is no metadata here")


@found_by(
    "resize_disk_then_the_data_is_untouched",
    "resize_disk_given_an_attached_disk_leaves_it_attached",
    "resize_disk_then_it_holds_the_size",
    "resize_disk_then_it_can_be_attached_at_once",
    "resize_disk_again_changes_nothing",
    "resize_disk_raises_disk_not_found",
    "resize_disk_raises_not_supported_if_smaller",
    "resize_disk_raises_not_supported_without_the_capability",
    "connect_then_the_powers_declared_are_the_methods_overridden",
)
class HasWhatItDoesNotDeclare(MemoryCloud):
    """RESIZE_DISK is there, and no caller is told."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability) - {Capability.RESIZE_DISK}


@found_by(
    "delete_network_given_a_vm_on_it_leaves_it",
    "delete_network_raises_cloud_error_while_a_vm_is_on_it",
)
class DeletesNetworksInUse(MemoryCloud):
    """delete_network does not look for VMs."""

    def delete_network(self, network_cid: Any) -> None:
        if self.memory.networks.pop(network_cid, None) is None:
            raise errors.NetworkNotFound(f"the network {network_cid} does not exist")


@found_by(
    "create_network_then_create_vm_takes_its_cloud_properties",
)
class IgnoresTheRange(MemoryCloud):
    """create_network makes another range than the one asked for."""

    def create_network(self, definition: NetworkDefinition) -> CreatedNetwork:
        return super().create_network(msgspec.structs.replace(definition, range=f"10.{self.memory.next_number() % 250}.0.0/26"))
