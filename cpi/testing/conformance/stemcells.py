"""The clauses of create_stemcell and delete_stemcell."""

from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.contract.ids import StemcellCid
from cpi.testing.conformance.fixtures import ContractFixtures, Lost, TagsOf, refused, uncertain
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker


class StemcellClauses(ContractFixtures):
    """Images that VMs are made from."""

    def test_create_stemcell_given_a_file_that_is_not_there_is_refused(
        self, cloud: Ledger, harness: Harness, tmp_path: Path
    ) -> None:
        """The image has to be a readable local file; the message says which was not."""
        missing = tmp_path / "no-image-here"
        with refused(errors.CpiError) as caught:
            cloud.create_stemcell(str(missing), harness.stemcell.cloud_properties, {})
        assert missing.name in caught.value.message

    def test_create_stemcell_then_a_vm_can_be_made_at_once(
        self, cloud: Ledger, harness: Harness, make: Maker, image_path: str
    ) -> None:
        """No waiting is left to the caller."""
        stemcell_cid = cloud.create_stemcell(image_path, harness.stemcell.cloud_properties, {})
        vm = make.vm(stemcell_cid=stemcell_cid)
        assert cloud.has_vm(vm.cid)

    def test_create_stemcell_then_it_carries_tags(
        self, cloud: Ledger, harness: Harness, image_path: str, tags_of: TagsOf
    ) -> None:
        """The tags of api_version 3 arrive."""
        stemcell_cid = cloud.create_stemcell(image_path, harness.stemcell.cloud_properties, {"team": "blue"})
        assert tags_of(stemcell_cid).get("team") == "blue"

    def test_create_stemcell_again_is_usable_beside_the_first(
        self, cloud: Ledger, harness: Harness, make: Maker, stemcell_cid: StemcellCid, image_path: str
    ) -> None:
        """`upload-stemcell --fix` makes the same stemcell again: deleting one must not spoil the other."""
        second = cloud.create_stemcell(image_path, harness.stemcell.cloud_properties, {})
        if second != stemcell_cid:
            cloud.delete_stemcell(second)
        assert cloud.has_vm(make.vm(stemcell_cid=stemcell_cid).cid)

    def test_create_stemcell_raises_cpi_error_for_what_is_no_image(self, cloud: Ledger, harness: Harness, tmp_path: Path) -> None:
        """A file of no format of this cloud is refused before anything is made."""
        if not harness.stemcell.image:
            pytest.skip("not proven: the harness has a light stemcell, without an image")
        nonsense = tmp_path / "image"
        nonsense.write_bytes(b"this is no image\n" * 64)
        with refused(errors.CpiError):
            cloud.create_stemcell(str(nonsense), harness.stemcell.cloud_properties, {})

    def test_create_stemcell_raises_cloud_error_when_the_cloud_cannot_be_reached(
        self, harness: Harness, image_path: str, lost: Lost
    ) -> None:
        """And not a fault of the stemcell."""
        with uncertain(), lost() as cloud:
            cloud.create_stemcell(image_path, harness.stemcell.cloud_properties, {})

    def test_delete_stemcell_then_it_is_gone(self, cloud: Ledger, harness: Harness, make: Maker, image_path: str) -> None:
        """No VM can be made from it any more; the census sees what was made for it."""
        stemcell_cid = cloud.create_stemcell(image_path, harness.stemcell.cloud_properties, {})
        cloud.delete_stemcell(stemcell_cid)
        with refused(errors.CloudError):
            make.vm(stemcell_cid=stemcell_cid)

    def test_delete_stemcell_again_is_success(self, cloud: Ledger, harness: Harness, image_path: str) -> None:
        """A missing stemcell is one that was deleted."""
        stemcell_cid = cloud.create_stemcell(image_path, harness.stemcell.cloud_properties, {})
        cloud.delete_stemcell(stemcell_cid)
        cloud.delete_stemcell(stemcell_cid)
        cloud.delete_stemcell(harness.absent.stemcell)

    def test_delete_stemcell_raises_cloud_error_when_it_is_not_certain(self, harness: Harness, lost: Lost) -> None:
        """What cannot be looked at is not reported as gone."""
        with uncertain(), lost() as cloud:
            cloud.delete_stemcell(harness.absent.stemcell)
