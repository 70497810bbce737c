"""The clauses that are seen from inside the VMs: that they boot, and the data on the disks that they use."""

import contextlib
from collections.abc import Callable, Iterator

from cpi.contract.capability import Capability
from cpi.contract.ids import DiskCid, VmCid
from cpi.testing.conformance.fixtures import ContractFixtures, Enter
from cpi.testing.guest import Guest
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker
from cpi.testing.powers import powered

_PROOF = 4711


class GuestClauses(ContractFixtures):
    """A VM boots; what was written stays, and lies on the disk that is attached."""

    def test_create_vm_then_it_boots(self, make: Maker, enter: Enter) -> None:
        """What runs in it answers."""
        with enter(make.vm().cid):
            pass

    def test_reboot_vm_then_it_boots(self, cloud: Ledger, vm_cid: VmCid, enter: Enter) -> None:
        """At the addresses it had: the guest is found where it was."""
        cloud.reboot_vm(vm_cid)
        with enter(vm_cid):
            pass

    def test_attach_disk_then_what_is_written_lies_on_that_disk(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, enter: Enter
    ) -> None:
        """A second disk in its place is empty; the first one, back again, still has it."""
        first, second = make.disk(), make.disk()
        _write(cloud, vm_cid, first, enter)
        _check(cloud, vm_cid, second, enter, 0)
        _check(cloud, vm_cid, first, enter)

    def test_attach_disk_again_leaves_the_data(self, cloud: Ledger, make: Maker, vm_cid: VmCid, enter: Enter) -> None:
        """Also while the disk is in use."""
        disk_cid = make.disk()
        with enter(vm_cid) as guest:
            guest.mount(disk_cid, cloud.attach_disk(vm_cid, disk_cid))
            guest.write(_PROOF)
            cloud.attach_disk(vm_cid, disk_cid)
            guest.check(_PROOF)
            guest.unmount(disk_cid)

    def test_detach_disk_then_the_data_is_there_on_another_vm(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, enter: Enter
    ) -> None:
        """A disk belongs to no VM."""
        disk_cid = make.disk()
        _write(cloud, vm_cid, disk_cid, enter)
        _check(cloud, make.vm().cid, disk_cid, enter)

    def test_delete_vm_then_the_data_is_there_on_the_next_vm(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, enter: Enter
    ) -> None:
        """Deleted with the disk attached and mounted, as the resurrector does it."""
        vm, disk_cid = make.vm(), make.disk()
        with enter(vm.cid) as guest:
            guest.mount(disk_cid, cloud.attach_disk(vm.cid, disk_cid))
            guest.write(_PROOF)
        cloud.delete_vm(vm.cid)
        _check(cloud, vm_cid, disk_cid, enter)

    def test_reboot_vm_then_the_data_is_there(self, cloud: Ledger, make: Maker, enter: Enter) -> None:
        """Rebooted with the disk attached and mounted."""
        vm, disk_cid = make.vm(), make.disk()
        hint = cloud.attach_disk(vm.cid, disk_cid)
        with enter(vm.cid) as guest:
            guest.mount(disk_cid, hint)
            guest.write(_PROOF)
        cloud.reboot_vm(vm.cid)
        with enter(vm.cid) as guest:
            guest.mount(disk_cid, hint)
            guest.check(_PROOF)
            guest.unmount(disk_cid)

    @powered(Capability.RESIZE_DISK)
    def test_resize_disk_then_the_data_is_untouched(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, enter: Enter, harness: Harness
    ) -> None:
        """Also after the filesystem has grown with the disk."""
        disk_cid = make.disk()
        _write(cloud, vm_cid, disk_cid, enter)
        cloud.resize_disk(disk_cid, harness.larger_disk_size)
        _check(cloud, vm_cid, disk_cid, enter)

    @powered(Capability.UPDATE_DISK)
    def test_update_disk_then_the_data_is_untouched(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, enter: Enter, harness: Harness
    ) -> None:
        """Whether it was changed in place or replaced."""
        disk_cid = make.disk()
        _write(cloud, vm_cid, disk_cid, enter)
        properties = harness.other_disk_cloud_properties or harness.disk_cloud_properties
        updated = cloud.update_disk(disk_cid, harness.larger_disk_size, properties)
        _check(cloud, vm_cid, updated, enter)

    @powered(Capability.SNAPSHOTS)
    def test_snapshot_disk_given_a_disk_in_use_leaves_its_data(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, enter: Enter
    ) -> None:
        """The disk stays mounted throughout."""
        disk_cid = make.disk()
        with enter(vm_cid) as guest:
            guest.mount(disk_cid, cloud.attach_disk(vm_cid, disk_cid))
            guest.write(_PROOF)
            cloud.delete_snapshot(cloud.snapshot_disk(disk_cid, {"index": 0}))
            guest.check(_PROOF)
            guest.unmount(disk_cid)


class Guestless(ContractFixtures):
    """In place of those clauses, where no VM can be entered: they are not collected, and named once."""

    no_guest = ""
    """Why."""

    def test_what_is_seen_from_inside_a_vm_is_not_proven(
        self, harness: Harness, record_property: Callable[[str, object], None]
    ) -> None:
        """It is told in the property `not proven` of this test; whoever has a guest takes CloudContract."""
        assert self.no_guest, "say in no_guest why no VM of this cloud can be entered"
        assert harness.guest is None, "the harness has a guest: what is seen from inside can be proven, by CloudContract"
        clauses = sorted(name.removeprefix("test_") for name in vars(GuestClauses) if name.startswith("test_"))
        record_property("not proven", f"{self.no_guest}, so: {', '.join(clauses)}")


def _write(cloud: Ledger, vm_cid: VmCid, disk_cid: DiskCid, enter: Enter) -> None:
    """Attach, mount, see that it is empty, write, unmount, detach."""
    with _mounted(cloud, vm_cid, disk_cid, enter) as guest:
        guest.check(0)
        guest.write(_PROOF)


def _check(cloud: Ledger, vm_cid: VmCid, disk_cid: DiskCid, enter: Enter, number: int = _PROOF) -> None:
    """Attach, mount, read, unmount, detach."""
    with _mounted(cloud, vm_cid, disk_cid, enter) as guest:
        guest.check(number)


@contextlib.contextmanager
def _mounted(cloud: Ledger, vm_cid: VmCid, disk_cid: DiskCid, enter: Enter) -> Iterator[Guest]:
    hint = cloud.attach_disk(vm_cid, disk_cid)
    with enter(vm_cid) as guest:
        guest.mount(disk_cid, hint)
        try:
            yield guest
        finally:
            guest.unmount(disk_cid)
    cloud.detach_disk(vm_cid, disk_cid)
