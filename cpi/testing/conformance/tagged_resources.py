"""The clauses of tagged_resources and delete_tagged_resource, which a cloud may offer beyond the CPI."""

import re
from typing import Any

import msgspec

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.ids import Cid, StemcellCid, VmCid
from cpi.contract.operator import ListsTaggedResources, TaggedResource
from cpi.testing.conformance.attached_changes import offering
from cpi.testing.conformance.fixtures import ContractFixtures, Lost, refused, uncertain
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker

_MADE_BY = "multicpi"


class TaggedResourceClauses(ContractFixtures):
    """What a sweep relies on: everything is listed, and nothing is deleted on suspicion."""

    @offering(ListsTaggedResources)
    def test_tagged_resources_then_what_was_made_is_listed(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, stemcell_cid: StemcellCid, harness: Harness
    ) -> None:
        """With its kind, the tag of this CPI and, if the cloud says so, when it was made."""
        made: dict[str, Cid] = {"VM": vm_cid, "stemcell": stemcell_cid, "disk": make.disk()}
        if Capability.SNAPSHOTS in cloud.powers:
            attached = make.disk()
            cloud.attach_disk(vm_cid, attached)
            made["snapshot"] = cloud.snapshot_disk(attached, {"deployment": "d", "job": "db", "index": 0})
        if Capability.NETWORKS in cloud.powers:
            made["network"] = cloud.create_network(harness.network_definition).cid
        listed = _listed(cloud)
        for kind, cid in made.items():
            found = _of(listed, cid, kind)
            assert (found.kind, _MADE_BY in found.tags) == (kind, True), found
            assert found.created is None or found.created.tzinfo is not None, found

    @offering(ListsTaggedResources)
    def test_tagged_resources_then_a_disk_and_its_vm_name_each_other(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """A disk that is detached is attached to nothing."""
        disk_cid, other = make.disk(), make.disk()
        cloud.attach_disk(vm_cid, disk_cid)
        listed = _listed(cloud)
        vm, disk, free = _of(listed, vm_cid, "VM"), _of(listed, disk_cid), _of(listed, other)
        assert (disk.attached_to, free.attached_to) == (vm.id, "")
        assert disk.id in vm.holds
        assert free.id not in vm.holds

    @offering(ListsTaggedResources)
    def test_tagged_resources_again_lists_the_same(self, cloud: Ledger, make: Maker) -> None:
        """Looking changes nothing."""
        disk_cid = make.disk()
        assert _of(_listed(cloud), disk_cid) == _of(_listed(cloud), disk_cid)

    @offering(ListsTaggedResources)
    def test_tagged_resources_raises_cloud_error_when_it_is_not_certain(self, cloud: Ledger, lost: Lost) -> None:
        """A cloud that cannot be reached has no leftovers that anybody knows of."""
        with lost() as unreachable, uncertain():
            assert isinstance(unreachable, ListsTaggedResources)
            unreachable.tagged_resources()

    @offering(ListsTaggedResources)
    def test_delete_tagged_resource_then_it_alone_is_gone(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """A disk, and a VM whose disk stays."""
        disk_cid, other, vm = make.disk(), make.disk(), make.vm().cid
        cloud.attach_disk(vm, other)
        listed = _listed(cloud)
        for resource in (_of(listed, disk_cid), _of(listed, vm, "VM")):
            _delete(cloud, resource)
        assert (cloud.has_disk(disk_cid), cloud.has_vm(vm)) == (False, False)
        assert (cloud.has_disk(other), cloud.has_vm(vm_cid)) == (True, True)
        assert _of(_listed(cloud), other).attached_to == ""

    @offering(ListsTaggedResources)
    def test_delete_tagged_resource_again_is_success(self, cloud: Ledger, make: Maker) -> None:
        """For one that is gone."""
        disk_cid, other = make.disk(), make.disk()
        listed = _listed(cloud)
        cloud.delete_disk(other)
        for cid in (disk_cid, disk_cid, other):
            _delete(cloud, _of(listed, cid))
        assert not cloud.has_disk(disk_cid)

    @offering(ListsTaggedResources)
    def test_delete_tagged_resource_raises_cloud_error_for_one_that_is_used(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid
    ) -> None:
        """Even if it was free when it was listed."""
        disk_cid = make.disk()
        listed = _of(_listed(cloud), disk_cid)
        cloud.attach_disk(vm_cid, disk_cid)
        for resource in (listed, _of(_listed(cloud), disk_cid)):
            with refused(errors.CloudError):
                _delete(cloud, resource)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]

    @offering(ListsTaggedResources)
    def test_delete_tagged_resource_raises_cloud_error_for_one_that_has_changed(
        self, cloud: Ledger, make: Maker, harness: Harness
    ) -> None:
        """What was decided about the listed one does not hold for another."""
        disk_cid = make.disk()
        listed = _of(_listed(cloud), disk_cid)
        others: list[dict[str, Any]] = [{"tags": {**listed.tags, "deployment": "another"}}, {"name": "another"}]
        for other in others:
            with refused(errors.CloudError):
                _delete(cloud, msgspec.structs.replace(listed, **other))
        assert _of(_listed(cloud), disk_cid) == listed


def _listed(cloud: Ledger) -> list[TaggedResource]:
    lists = cloud.cloud
    assert isinstance(lists, ListsTaggedResources)
    return list(lists.tagged_resources())


def _delete(cloud: Ledger, resource: TaggedResource) -> None:
    lists = cloud.cloud
    assert isinstance(lists, ListsTaggedResources)
    lists.delete_tagged_resource(resource)


def _of(listed: list[TaggedResource], cid: Cid, kind: str = "disk") -> TaggedResource:
    """The one whose id is a word of the CID; a VM's own disk may have the VM's name."""
    found = [one for one in listed if one.kind == kind and (one.id == cid or one.id in re.split(r"[^\w-]+", cid))]
    assert len(found) == 1, f"the {kind} {cid} is listed {len(found)} times"
    return found[0]
