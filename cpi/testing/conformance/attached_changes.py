"""The clauses of grow_attached_disk and change_attached_disk, which a cloud may offer beyond the CPI."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.operator import ChangesAttachedDisks, GrowsAttachedDisks
from cpi.contract.units import MiB
from cpi.testing.conformance.fixtures import ContractFixtures, SizeOf, refused
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker

Test = TypeVar("Test", bound=Callable[..., None])


def offering(kind: type) -> Callable[[Test], Test]:
    """A test of what a cloud may offer; the executable is never asked for it, so there is nothing to prove of it."""

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def run(self: object, **fixtures: Any) -> None:
            if isinstance(fixtures["cloud"].cloud, kind):
                test(self, **fixtures)

        return run  # type: ignore[return-value]  # wraps keeps the signature

    return decorate


class AttachedChangeClauses(ContractFixtures):
    """Disks that change while a VM uses them."""

    @offering(GrowsAttachedDisks)
    def test_grow_attached_disk_then_it_has_the_size_and_stays_attached(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, harness: Harness, disk_size_of: SizeOf
    ) -> None:
        """Nothing in the VM has to be stopped for it; the disk can be detached and grown as before."""
        disk_cid = _attached(cloud, make, vm_cid)
        _grow(cloud, vm_cid, disk_cid, harness.larger_disk_size)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]
        assert disk_size_of(disk_cid) >= harness.larger_disk_size
        cloud.detach_disk(vm_cid, disk_cid)
        assert disk_size_of(disk_cid) >= harness.larger_disk_size

    @offering(GrowsAttachedDisks)
    def test_grow_attached_disk_again_changes_nothing(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, harness: Harness, disk_size_of: SizeOf
    ) -> None:
        """To the size it was made with, and to the size it was grown to."""
        disk_cid = _attached(cloud, make, vm_cid)
        sizes = []
        for size in (harness.disk_size, harness.larger_disk_size, harness.larger_disk_size):
            _grow(cloud, vm_cid, disk_cid, size)
            sizes.append(disk_size_of(disk_cid))
        assert sizes[1] == sizes[2]

    @offering(GrowsAttachedDisks)
    def test_grow_attached_disk_raises_vm_not_found(self, cloud: Ledger, make: Maker, vm_cid: VmCid, harness: Harness) -> None:
        """For a VM that does not exist, naming it."""
        disk_cid = _attached(cloud, make, vm_cid)
        with refused(errors.VMNotFound) as caught:
            _grow(cloud, harness.absent.vm, disk_cid, harness.larger_disk_size)
        assert harness.absent.vm in caught.value.message

    @offering(GrowsAttachedDisks)
    def test_grow_attached_disk_raises_disk_not_found(self, cloud: Ledger, vm_cid: VmCid, harness: Harness) -> None:
        """For a disk that does not exist, naming it."""
        with refused(errors.DiskNotFound) as caught:
            _grow(cloud, vm_cid, harness.absent.disk, harness.larger_disk_size)
        assert harness.absent.disk in caught.value.message

    @offering(GrowsAttachedDisks)
    def test_grow_attached_disk_raises_disk_not_attached(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, harness: Harness, disk_size_of: SizeOf
    ) -> None:
        """The disk stays as it is."""
        disk_cid = make.disk()
        before = disk_size_of(disk_cid)
        with refused(errors.DiskNotAttached):
            _grow(cloud, vm_cid, disk_cid, harness.larger_disk_size)
        assert disk_size_of(disk_cid) == before

    @offering(GrowsAttachedDisks)
    def test_grow_attached_disk_raises_not_supported_if_smaller(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, harness: Harness
    ) -> None:
        """No cloud shrinks: the data must be copied."""
        disk_cid = _attached(cloud, make, vm_cid, harness.larger_disk_size)
        with refused(errors.NotSupported):
            _grow(cloud, vm_cid, disk_cid, harness.disk_size)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]

    @offering(ChangesAttachedDisks)
    def test_change_attached_disk_then_it_has_the_size_and_stays_attached(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, harness: Harness, disk_size_of: SizeOf
    ) -> None:
        """As when it only grows."""
        disk_cid = _attached(cloud, make, vm_cid)
        _change(cloud, vm_cid, disk_cid, harness)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]
        assert disk_size_of(disk_cid) >= harness.larger_disk_size

    @offering(ChangesAttachedDisks)
    def test_change_attached_disk_again_changes_nothing(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, harness: Harness, disk_size_of: SizeOf
    ) -> None:
        """The same wish once more."""
        disk_cid = _attached(cloud, make, vm_cid)
        _change(cloud, vm_cid, disk_cid, harness)
        size = disk_size_of(disk_cid)
        _change(cloud, vm_cid, disk_cid, harness)
        assert disk_size_of(disk_cid) == size

    @offering(ChangesAttachedDisks)
    def test_change_attached_disk_raises_vm_not_found(self, cloud: Ledger, make: Maker, vm_cid: VmCid, harness: Harness) -> None:
        """For a VM that does not exist, naming it."""
        disk_cid = _attached(cloud, make, vm_cid)
        with refused(errors.VMNotFound) as caught:
            _change(cloud, harness.absent.vm, disk_cid, harness)
        assert harness.absent.vm in caught.value.message

    @offering(ChangesAttachedDisks)
    def test_change_attached_disk_raises_disk_not_found(self, cloud: Ledger, vm_cid: VmCid, harness: Harness) -> None:
        """For a disk that does not exist, naming it."""
        with refused(errors.DiskNotFound) as caught:
            _change(cloud, vm_cid, harness.absent.disk, harness)
        assert harness.absent.disk in caught.value.message

    @offering(ChangesAttachedDisks)
    def test_change_attached_disk_raises_disk_not_attached(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, harness: Harness
    ) -> None:
        """A detached disk is update_disk's."""
        disk_cid = make.disk()
        with refused(errors.DiskNotAttached):
            _change(cloud, vm_cid, disk_cid, harness)

    @offering(ChangesAttachedDisks)
    def test_change_attached_disk_raises_not_supported_if_smaller(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, harness: Harness
    ) -> None:
        """No cloud shrinks: the data must be copied."""
        disk_cid = _attached(cloud, make, vm_cid, harness.larger_disk_size)
        with refused(errors.NotSupported):
            _change(cloud, vm_cid, disk_cid, harness, harness.disk_size)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]


def _attached(cloud: Ledger, make: Maker, vm_cid: VmCid, size: MiB | None = None) -> DiskCid:
    disk_cid = make.disk(size)
    cloud.attach_disk(vm_cid, disk_cid)
    return disk_cid


def _grow(cloud: Ledger, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
    grows = cloud.cloud
    assert isinstance(grows, GrowsAttachedDisks)
    grows.grow_attached_disk(vm_cid, disk_cid, size)


def _change(cloud: Ledger, vm_cid: VmCid, disk_cid: DiskCid, harness: Harness, size: MiB | None = None) -> None:
    changes = cloud.cloud
    assert isinstance(changes, ChangesAttachedDisks)
    changes.change_attached_disk(vm_cid, disk_cid, size or harness.larger_disk_size, harness.disk_cloud_properties)
