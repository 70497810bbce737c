"""The clauses of delete_vm, has_vm and reboot_vm."""

from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.testing.conformance.fixtures import ContractFixtures, Lost, allowed, refused, uncertain
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker


class VmClauses(ContractFixtures):
    """VMs that exist, and how they go."""

    def test_delete_vm_given_an_attached_disk_leaves_it_detached(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """The resurrector deletes a VM without detaching anything: the disk has to be free for the next one at once."""
        vm, disk_cid = make.vm(), make.disk()
        cloud.attach_disk(vm.cid, disk_cid)
        cloud.delete_vm(vm.cid)
        assert cloud.has_disk(disk_cid)
        cloud.attach_disk(vm_cid, disk_cid)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]

    def test_delete_vm_then_it_is_gone(self, cloud: Ledger, make: Maker) -> None:
        """With all that belonged to it alone: the census sees the rest."""
        vm = make.vm()
        cloud.delete_vm(vm.cid)
        assert not cloud.has_vm(vm.cid)

    def test_delete_vm_then_its_addresses_are_free_at_once(self, cloud: Ledger, make: Maker, harness: Harness) -> None:
        """The next VM gets the same addresses as the one that was lost."""
        networks = harness.networks()
        cloud.delete_vm(make.vm(networks=networks).cid)
        assert cloud.has_vm(make.vm(networks=networks).cid)

    def test_delete_vm_again_is_success_or_vm_not_found(self, cloud: Ledger, make: Maker, harness: Harness) -> None:
        """Directors take both."""
        vm = make.vm()
        cloud.delete_vm(vm.cid)
        for cid in (vm.cid, harness.absent.vm):
            with allowed(errors.VMNotFound):
                cloud.delete_vm(cid)

    def test_delete_vm_raises_nothing_but_vm_not_found_for_a_missing_vm(self, cloud: Ledger, harness: Harness) -> None:
        """Any other error ends the director's task."""
        with allowed(errors.VMNotFound):
            cloud.delete_vm(harness.absent.vm)

    def test_delete_vm_raises_cloud_error_when_it_is_not_certain(self, harness: Harness, lost: Lost) -> None:
        """A VM that lives on unseen keeps its address: what cannot be looked at is not reported as gone."""
        with uncertain(), lost() as cloud:
            cloud.delete_vm(harness.absent.vm)

    def test_has_vm_given_any_cid_answers(self, cloud: Ledger, harness: Harness) -> None:
        """A CID that no VM can have belongs to no VM."""
        assert cloud.has_vm(harness.absent.vm) is False
        assert cloud.has_vm(VmCid("../not a cid/ü")) is False

    def test_has_vm_then_it_tells_whether_it_exists(self, cloud: Ledger, make: Maker) -> None:
        """Before and after."""
        vm = make.vm()
        assert cloud.has_vm(vm.cid) is True
        cloud.delete_vm(vm.cid)
        assert cloud.has_vm(vm.cid) is False

    def test_has_vm_again_is_the_same(self, cloud: Ledger, vm_cid: VmCid) -> None:
        """Asking changes nothing."""
        assert [cloud.has_vm(vm_cid), cloud.has_vm(vm_cid)] == [True, True]

    def test_has_vm_raises_cloud_error_when_it_cannot_be_known(self, harness: Harness, lost: Lost) -> None:
        """A False here would make the director recreate a VM that lives."""
        with uncertain(), lost() as cloud:
            cloud.has_vm(harness.absent.vm)

    def test_reboot_vm_then_it_has_the_same_disks(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """And it is still there."""
        disk_cid = make.disk()
        cloud.attach_disk(vm_cid, disk_cid)
        cloud.reboot_vm(vm_cid)
        assert cloud.has_vm(vm_cid)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]

    def test_reboot_vm_again_boots_once_more(self, cloud: Ledger, vm_cid: VmCid) -> None:
        """Also while it may still be booting."""
        cloud.reboot_vm(vm_cid)
        cloud.reboot_vm(vm_cid)
        assert cloud.has_vm(vm_cid)

    def test_reboot_vm_raises_vm_not_found(self, cloud: Ledger, harness: Harness) -> None:
        """For a VM that does not exist, naming it."""
        with refused(errors.VMNotFound) as caught:
            cloud.reboot_vm(harness.absent.vm)
        assert harness.absent.vm in caught.value.message
