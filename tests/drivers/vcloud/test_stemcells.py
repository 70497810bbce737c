"""Stemcells: uploaded, or there already."""

import hashlib
import tarfile
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import StemcellCid
from fixtures.clouds.vcloud.lab import Lab
from fixtures.clouds.vcsim.images import image, packed
from tests.drivers.vcloud.conftest import Connect, Helper

pytestmark = pytest.mark.slow


def test_an_image_is_sent_and_becomes_a_template_with_tags(vcloud: Lab, cloud: Cloud, helper: Helper, tmp_path: Path) -> None:
    """The VMDK arrives as it is; VMs are made of it."""
    cid = cloud.create_stemcell(str(image(tmp_path / "image")), {"name": "tiny", "version": "1"}, {"team": "blue"})
    item = vcloud.one("catalog_items", cid)
    template = vcloud.one("templates", item["name"])
    assert {"team": "blue", "multicpi": "1"}.items() <= vcloud.tags(item["name"]).items()
    assert (template["status"], template["description"]) == (8, "tiny 1")
    assert cloud.has_vm(helper.vm(cloud, stemcell=cid).cid)
    cloud.delete_stemcell(cid)
    cloud.delete_stemcell(cid)


def test_the_storage_profile_of_templates_is_the_configurations(connect: Connect, tmp_path: Path) -> None:
    """Or the stemcell's own; one that is not there is named."""
    path = str(image(tmp_path / "image"))
    cloud = connect(entities={"media_storage_profile": "fast"})
    cloud.delete_stemcell(cloud.create_stemcell(path, {}, {}))
    with pytest.raises(errors.CloudError, match="no storage profile 'slow'"):
        cloud.create_stemcell(path, {"storage_profile": "slow"}, {})


@pytest.mark.parametrize("by_urn", [False, True])
def test_a_light_stemcell_is_an_item_that_is_there(vcloud: Lab, cloud: Cloud, helper: Helper, by_urn: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """By name and catalog, or URN; it is not ours to delete."""
    urn = vcloud.one("catalog_items", "light-stemcell")["urn"]
    cid = cloud.create_stemcell("", {"vapp_template": urn if by_urn else "light-stemcell", "catalog": "public"}, {})
    assert cid == f"{urn} light"
    assert cloud.has_vm(helper.vm(cloud, stemcell=cid).cid)
    cloud.delete_stemcell(cid)
    assert vcloud.all("catalog_items", "light-stemcell")


@pytest.mark.parametrize("wished", ["nosuch", "urn:vcloud:catalogitem:00000000-0000-4000-8000-000000000000"])
def test_a_light_stemcell_that_is_not_there_is_named(cloud: Cloud, wished: str) -> None:
    """Where it was looked for, too."""
    with pytest.raises(errors.CloudError, match=wished):
        cloud.create_stemcell("", {"vapp_template": wished}, {})


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "0 OVF files"),
        ({"a.ovf": b"<x/>", "b.ovf": b"<x/>"}, "2 OVF files"),
        ({"a.ovf": b"no XML"}, "its OVF cannot be read"),
        ({"a.ovf": b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'}, "its OVF declares a document type or entities"),
        (
            {"a.ovf": b'<x><References><File href="gone.vmdk"/></References></x>'},
            "refers to gone.vmdk, which is not in",
        ),
    ],
)
def test_an_image_that_is_none_is_told_before_anything_is_asked(
    vcloud: Lab, cloud: Cloud, tmp_path: Path, files: dict[str, bytes], said: str
) -> None:
    """With what is wrong in it."""
    with pytest.raises(errors.CpiError, match=said):
        cloud.create_stemcell(str(packed(tmp_path / "image", files)), {}, {})
    assert sum(vcloud.calls().values()) == 0


def test_an_ovf_that_the_cloud_does_not_take_is_told_in_its_words_and_nothing_is_left(cloud: Cloud, tmp_path: Path) -> None:
    """It reads it after it was sent."""
    ovf = b'<x xmlns="http://schemas.dmtf.org/ovf/envelope/1"><References><File href="a"/></References></x>'
    with pytest.raises(errors.CloudError, match="create_stemcell"):
        cloud.create_stemcell(str(packed(tmp_path / "image", {"a.ovf": ovf, "a": b"x"})), {}, {})


def test_large_files_arrive_whole(vcloud: Lab, cloud: Cloud, tmp_path: Path) -> None:
    """In pieces, never all in memory."""
    source = tarfile.open(image(tmp_path / "small"))  # noqa: SIM115 - closed by the test's end
    descriptor = source.extractfile("image.ovf")
    assert descriptor is not None
    disk = b"KDMV" + bytes(range(256)) * (5 << 12)
    files = {
        "image.ovf": descriptor.read().replace(b'ovf:size="65536"', f'ovf:size="{len(disk)}"'.encode()),
        "image-disk1.vmdk": disk,
    }
    source.close()
    cid = StemcellCid(cloud.create_stemcell(str(packed(tmp_path / "image", files)), {}, {}))
    name = vcloud.one("catalog_items", cid)["name"]
    arrived = vcloud.one("templates", name)["files"]["image-disk1.vmdk"]
    assert arrived["sha256"] == hashlib.sha256(disk).hexdigest()
    cloud.delete_stemcell(cid)
