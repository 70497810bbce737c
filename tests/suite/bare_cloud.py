"""The cloud in memory without a single optional power."""

from typing import ClassVar

from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from tests.suite.memory_cloud import MemoryCloud


class BareCloud(MemoryCloud):
    """Refuses what Cloud refuses by itself."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset()

    resize_disk = Cloud.resize_disk
    update_disk = Cloud.update_disk
    snapshot_disk = Cloud.snapshot_disk
    delete_snapshot = Cloud.delete_snapshot
    set_disk_metadata = Cloud.set_disk_metadata
    create_network = Cloud.create_network
    delete_network = Cloud.delete_network
    calculate_vm_cloud_properties = Cloud.calculate_vm_cloud_properties
