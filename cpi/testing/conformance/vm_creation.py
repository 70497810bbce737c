"""The clauses of create_vm and calculate_vm_cloud_properties."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import StemcellCid, VmCid
from cpi.contract.model import Network
from cpi.contract.operator import ShowsAgentSettings
from cpi.testing.conformance.fixtures import ContractFixtures, allowed, refused
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker, at_once, fresh_agent_id, fresh_token
from cpi.testing.powers import powered, prove_declared_or_refused

SettingsOf = Callable[[VmCid], Mapping[str, Any]]

_ENV: dict[str, Any] = {
    "bosh": {"group": "suite-contract-vm", "tags": {"team": "blue"}},
    "anything": {"else": ["reaches", 1, None, True]},
}


class VmCreationClauses(ContractFixtures):
    """VMs, and how they come to be."""

    def test_create_vm_given_disk_cids_attaches_none(self, cloud: Ledger, make: Maker) -> None:
        """They decide where the VM lies, nothing more; the disk is free for attach_disk afterwards."""
        disk_cid = make.disk()
        vm = make.vm(disk_cids=[disk_cid])
        assert list(cloud.get_disks(vm.cid)) == []
        cloud.attach_disk(vm.cid, disk_cid)
        assert list(cloud.get_disks(vm.cid)) == [disk_cid]

    def test_create_vm_then_it_exists_and_holds_its_addresses(self, cloud: Ledger, make: Maker, harness: Harness) -> None:
        """The networks come back as they turned out: under the same names, with the manual addresses as wished."""
        networks = harness.networks()
        vm = make.vm(networks=networks)
        assert cloud.has_vm(vm.cid)
        assert set(vm.networks) == set(networks)
        for name, network in networks.items():
            assert network.type != "manual" or vm.networks[name].ip == network.ip

    def test_create_vm_then_its_settings_hold_all_of_env(self, make: Maker, settings_of: SettingsOf) -> None:
        """env reaches the agent whole, also the keys that this CPI does not know."""
        settings = settings_of(make.vm(env=_ENV).cid)
        assert settings["agent_id"]
        assert {key: settings["env"][key] for key in ("anything",)} == {"anything": _ENV["anything"]}
        assert _ENV["bosh"].items() <= settings["env"]["bosh"].items()

    def test_create_vm_then_keys_of_a_network_that_nobody_knows_reach_the_agent(
        self, make: Maker, harness: Harness, settings_of: SettingsOf
    ) -> None:
        """A newer director may say more of a network than this CPI knows."""
        name, network = next(iter(harness.networks().items()))
        document = {**network.to_document(), "from_the_future": {"key": "value"}}
        vm = make.vm(networks={name: Network.from_document(document)})
        assert settings_of(vm.cid)["networks"][name]["from_the_future"] == {"key": "value"}

    def test_create_vm_then_callers_at_once_get_vms_of_their_own(self, cloud: Ledger, make: Maker) -> None:
        """A director starts many at once, with no lock between the calls."""
        vms = at_once(*[make.vm] * 3)
        assert len({vm.cid for vm in vms}) == 3
        assert all(cloud.has_vm(vm.cid) for vm in vms)

    def test_create_vm_again_with_the_same_token_is_the_same_vm(self, make: Maker, harness: Harness) -> None:
        """A caller that was killed repeats its call, and gets what it made, networks and all."""
        token, networks = fresh_token(), harness.networks()
        first = make.vm(token=token, networks=networks)
        second = make.vm(token=token, networks=networks)
        assert second == first

    def test_create_vm_again_with_the_same_token_at_once_is_the_same_vm(self, make: Maker, harness: Harness) -> None:
        """Also if the first call is still under way."""
        token, networks = fresh_token(), harness.networks()
        vms = at_once(*[lambda: make.vm(token=token, networks=networks)] * 2)
        assert vms[0] == vms[1]

    def test_create_vm_again_without_a_token_is_another_vm(self, make: Maker, vm_cid: VmCid) -> None:
        """Without a token nothing tells a repeat from a wish for two."""
        assert make.vm().cid != vm_cid

    def test_create_vm_raises_cloud_error_for_an_unknown_stemcell(self, make: Maker, harness: Harness) -> None:
        """And leaves nothing: the census sees it."""
        with refused(errors.CloudError) as caught:
            make.vm(stemcell_cid=harness.absent.stemcell)
        assert harness.absent.stemcell in caught.value.message

    def test_create_vm_raises_cloud_error_for_an_unknown_disk(self, make: Maker, harness: Harness) -> None:
        """A VM near a disk that does not exist cannot be made."""
        with refused(errors.CloudError) as caught:
            make.vm(disk_cids=[harness.absent.disk])
        assert harness.absent.disk in caught.value.message

    def test_create_vm_raises_an_error_for_an_impossible_network(self, make: Maker, harness: Harness) -> None:
        """A network that does not exist, or makes no sense."""
        with refused(errors.CloudError, errors.CpiError):
            make.vm(networks=harness.impossible_networks())

    def test_create_vm_raises_vm_creation_failed_or_cloud_error_for_a_taken_address(self, make: Maker, harness: Harness) -> None:
        """A repeat would fail as well, so none is asked for."""
        networks = harness.networks()
        if all(network.type != "manual" for network in networks.values()):
            pytest.skip("not proven: the harness has no manual network")
        make.vm(networks=networks)
        with refused(errors.CloudError) as caught:
            make.vm(networks=networks)
        assert not caught.value.ok_to_retry

    def test_create_vm_raises_and_the_same_token_serves_again(self, cloud: Ledger, make: Maker, harness: Harness) -> None:
        """A token of a call that failed is not used up."""
        token = fresh_token()
        with refused(errors.CloudError):
            make.vm(stemcell_cid=harness.absent.stemcell, token=token)
        assert cloud.has_vm(make.vm(token=token).cid)

    @powered(Capability.VM_RESOURCES)
    def test_calculate_vm_cloud_properties_then_create_vm_takes_them(
        self, cloud: Ledger, harness: Harness, stemcell_cid: StemcellCid
    ) -> None:
        """They are the VM type of a manifest that says vm_resources."""
        properties = cloud.calculate_vm_cloud_properties(harness.vm_resources)
        vm = cloud.create_vm(fresh_agent_id(), stemcell_cid, properties, harness.networks(), (), harness.env)
        assert cloud.has_vm(vm.cid)

    @powered(Capability.VM_RESOURCES)
    def test_calculate_vm_cloud_properties_again_is_the_same(self, cloud: Ledger, harness: Harness) -> None:
        """It depends on nothing but what was asked."""
        first = cloud.calculate_vm_cloud_properties(harness.vm_resources)
        assert cloud.calculate_vm_cloud_properties(harness.vm_resources) == first

    @powered(Capability.VM_RESOURCES)
    def test_calculate_vm_cloud_properties_raises_not_supported_for_more_than_there_is(
        self, cloud: Ledger, harness: Harness, stemcell_cid: StemcellCid
    ) -> None:
        """Or else create_vm takes what was answered: then nothing here is too large."""
        with allowed(errors.NotSupported):
            properties = cloud.calculate_vm_cloud_properties(harness.impossible_vm_resources)
            vm = cloud.create_vm(fresh_agent_id(), stemcell_cid, properties, harness.networks(), (), harness.env)
            assert cloud.has_vm(vm.cid)

    def test_calculate_vm_cloud_properties_raises_not_implemented_without_the_capability(
        self, cloud: Ledger, harness: Harness
    ) -> None:
        """Declared and offered, or neither."""
        prove_declared_or_refused(cloud, harness, Capability.VM_RESOURCES, "calculate_vm_cloud_properties")

    @pytest.fixture
    def settings_of(self, harness: Harness, janitor: Cloud) -> SettingsOf:
        """Reads what a VM's agent was given."""
        if harness.settings is not None:
            read = harness.settings
            return lambda vm_cid: read(janitor, vm_cid)
        if isinstance(janitor, ShowsAgentSettings):
            return janitor.agent_settings
        pytest.skip("not proven: the harness cannot read agent settings")
