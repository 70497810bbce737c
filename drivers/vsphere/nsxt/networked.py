"""vSphere with NSX-T: networks can be made, and what a VM type names in NSX can be looked at."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from cpi.contract.capability import Capability
from cpi.contract.ids import NetworkCid
from cpi.contract.model import CloudConfig, CloudProperties, CreatedNetwork, NetworkDefinition
from cpi.contract.operator import Finding
from drivers.vsphere.cloud import VsphereCloud
from drivers.vsphere.nsxt import examining
from drivers.vsphere.nsxt.networks import ManagedNetworks
from drivers.vsphere.settings import VCenter


class NetworkedVsphereCloud(VsphereCloud):
    """Datacenters of which at least one has an NSX manager."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)

    def __init__(self, config: CloudConfig, vcenters: Sequence[VCenter]) -> None:
        super().__init__(config, vcenters)
        self._networks = ManagedNetworks(self._sites, config.context, strict=config.strict_properties)

    def create_network(self, definition: NetworkDefinition) -> CreatedNetwork:
        """As the contract says."""
        return self._networks.create(definition)

    def delete_network(self, network_cid: NetworkCid) -> None:
        """As the contract says."""
        self._networks.delete(network_cid)

    def examine(self) -> Iterator[Finding]:
        """As `cpi doctor` shows it."""
        yield from super().examine()
        yield from examining.examine(self._sites)

    def examine_vm_type(self, vm_type: CloudProperties, networks: Sequence[CloudProperties]) -> Iterator[Finding]:
        """The groups and server pools that a VM type names in NSX."""
        yield from examining.examine_vm_type(self._sites, vm_type)
