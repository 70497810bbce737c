"""The clauses of create_network and delete_network."""

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.model import CreatedNetwork, Network, Networks
from cpi.testing.conformance.fixtures import ContractFixtures, Lost, allowed, refused, uncertain
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker
from cpi.testing.powers import powered, prove_declared_or_refused


class NetworkClauses(ContractFixtures):
    """Subnets made on request."""

    @powered(Capability.NETWORKS)
    def test_create_network_given_a_size_chooses_a_range(self, cloud: Ledger, harness: Harness) -> None:
        """The cloud tells which it chose."""
        addresses = cloud.create_network(harness.sized_network_definition).addresses
        assert addresses.range.endswith(f"/{harness.sized_network_definition.netmask_bits}")
        assert addresses.gateway

    @powered(Capability.NETWORKS)
    def test_create_network_then_create_vm_takes_its_cloud_properties(self, cloud: Ledger, harness: Harness, make: Maker) -> None:
        """They are what a manifest's VM gets later."""
        network = cloud.create_network(harness.network_definition)
        assert network.addresses.range == harness.network_definition.range
        assert cloud.has_vm(make.vm(networks=_on(network)).cid)

    @powered(Capability.NETWORKS)
    def test_create_network_again_makes_another_or_refuses_the_range(self, cloud: Ledger, harness: Harness) -> None:
        """Never the same network twice."""
        first = cloud.create_network(harness.network_definition)
        with allowed(errors.CloudError):
            assert cloud.create_network(harness.network_definition).cid != first.cid

    @powered(Capability.NETWORKS)
    def test_create_network_raises_cloud_error_when_the_cloud_cannot_be_reached(
        self, cloud: Ledger, harness: Harness, lost: Lost
    ) -> None:
        """And not a fault of the definition."""
        with uncertain(), lost() as unreachable:
            unreachable.create_network(harness.network_definition)

    def test_create_network_raises_not_implemented_without_the_capability(self, cloud: Ledger, harness: Harness) -> None:
        """Declared and offered, or neither."""
        prove_declared_or_refused(cloud, harness, Capability.NETWORKS, "create_network")

    @powered(Capability.NETWORKS)
    def test_delete_network_given_a_vm_on_it_leaves_it(self, cloud: Ledger, harness: Harness, make: Maker) -> None:
        """It can be deleted once the VM is gone."""
        network = cloud.create_network(harness.network_definition)
        vm = make.vm(networks=_on(network))
        with refused(errors.CloudError):
            cloud.delete_network(network.cid)
        cloud.delete_vm(vm.cid)
        cloud.delete_network(network.cid)

    @powered(Capability.NETWORKS)
    def test_delete_network_then_it_is_gone(self, cloud: Ledger, harness: Harness, make: Maker) -> None:
        """No VM can be made on it any more; its range is free."""
        network = cloud.create_network(harness.network_definition)
        cloud.delete_network(network.cid)
        with refused(errors.CloudError):
            make.vm(networks=_on(network))
        assert cloud.create_network(harness.network_definition).cid

    @powered(Capability.NETWORKS)
    def test_delete_network_again_is_network_not_found_or_success(self, cloud: Ledger, harness: Harness) -> None:
        """Every director ignores both."""
        network = cloud.create_network(harness.network_definition)
        cloud.delete_network(network.cid)
        with allowed(errors.NetworkNotFound):
            cloud.delete_network(network.cid)

    @powered(Capability.NETWORKS)
    def test_delete_network_raises_network_not_found_or_nothing(self, cloud: Ledger, harness: Harness) -> None:
        """For a network that does not exist."""
        with allowed(errors.NetworkNotFound):
            cloud.delete_network(harness.absent.network)

    @powered(Capability.NETWORKS)
    def test_delete_network_raises_cloud_error_while_a_vm_is_on_it(self, cloud: Ledger, harness: Harness, make: Maker) -> None:
        """And not NetworkNotFound."""
        network = cloud.create_network(harness.network_definition)
        make.vm(networks=_on(network))
        with refused(errors.CloudError) as caught:
            cloud.delete_network(network.cid)
        assert not isinstance(caught.value, errors.NetworkNotFound)

    def test_delete_network_raises_not_implemented_without_the_capability(self, cloud: Ledger, harness: Harness) -> None:
        """Declared and offered, or neither."""
        prove_declared_or_refused(cloud, harness, Capability.NETWORKS, "delete_network")


def _on(network: CreatedNetwork) -> Networks:
    return {"made": Network(type="dynamic", cloud_properties=network.cloud_properties, default=("dns", "gateway"))}
