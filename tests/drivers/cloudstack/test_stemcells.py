"""Stemcells: uploaded, downloaded, there already; in one zone or several."""

import gzip
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import StemcellCid
from fixtures.clouds.cloudstack.lab import Lab
from fixtures.proxy import Rule, effects
from tests.drivers.cloudstack.conftest import Connect, Helper

pytestmark = pytest.mark.slow

_KVM = {"name": "tiny", "version": "1", "hypervisor": "kvm"}


@pytest.fixture
def image(tmp_path: Path) -> str:
    """A disk image as far as its first bytes go."""
    path = tmp_path / "image"
    path.write_bytes(b"QFI\xfb" + bytes(3 << 20))
    return str(path)


def rows(cloudstack: Lab, cid: StemcellCid) -> list[dict[str, object]]:
    """One for each zone."""
    return cloudstack.all("listTemplates", templatefilter="self", name=cid)


def test_an_image_is_sent_whole_and_tagged(cloudstack: Lab, cloud: Cloud, image: str) -> None:
    """Under a name that templates may have."""
    cid = cloud.create_stemcell(image, _KVM, {"team": "blue"})
    (row,) = rows(cloudstack, cid)
    assert (row["size"], row["format"], row["hypervisor"], row["displaytext"]) == ((3 << 20) + 4, "QCOW2", "KVM", "tiny/1")
    assert row["ispublic"] is False
    assert len(cid) <= 32
    assert {"team": "blue", "multicpi": "1"}.items() <= cloudstack.tags(cid).items()
    cloud.delete_stemcell(cid)


def test_a_gzipped_image_is_sent_as_one(cloud: Cloud, tmp_path: Path) -> None:
    """Of whatever format it is inside."""
    path = tmp_path / "image"
    path.write_bytes(gzip.compress(bytes(1 << 16)))
    cloud.delete_stemcell(cloud.create_stemcell(str(path), {"hypervisor": "xen", "disk_format": "vhd"}, {}))


def test_it_is_copied_to_the_zones_that_are_named(cloudstack: Lab, connect: Connect, helper: Helper, image: str) -> None:
    """VMs can be made there, and deleting it deletes it everywhere."""
    cloud = connect(stemcell={"zones": ["zone-2", "zone-1"], "public_visibility": True, "os_type": "Ubuntu 22.04 LTS"})
    cid = cloud.create_stemcell(image, _KVM, {})
    assert sorted(str(row["zonename"]) for row in rows(cloudstack, cid)) == ["zone-1", "zone-2"]
    vm = helper.vm(cloud, {"default": helper.manual("bosh-net", "10.18")}, stemcell=cid, zone="zone-2")
    with pytest.raises(errors.CloudError, match="because VM instances"):
        cloud.delete_stemcell(cid)
    cloud.delete_vm(vm.cid)
    cloud.delete_stemcell(cid)
    assert rows(cloudstack, cid) == []


def test_a_stemcell_that_is_not_in_the_zone_is_told_as_such(cloud: Cloud, helper: Helper) -> None:
    """Before anything is made."""
    with pytest.raises(errors.CloudError, match="does not exist in the zone zone-2"):
        helper.vm(cloud, {"default": helper.manual("bosh-net", "10.18")}, zone="zone-2")


@pytest.mark.parametrize("by_id", [False, True])
def test_a_light_stemcell_is_a_template_that_is_there(cloudstack: Lab, cloud: Cloud, helper: Helper, by_id: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """By name or id; it is not ours to delete."""
    template = cloudstack.all("listTemplates", templatefilter="executable", name="light-kvm")[0]
    cid = cloud.create_stemcell("", {"light_template": template["id" if by_id else "name"]}, {})
    assert cid == f"{template['id']} light"
    assert helper.seen(helper.vm(cloud, stemcell=cid))["templateid"] == template["id"]
    cloud.delete_stemcell(cid)
    assert cloudstack.all("listTemplates", templatefilter="executable", name="light-kvm")
    with pytest.raises(errors.CloudError, match="'nosuch'"):
        cloud.create_stemcell("", {"light_template": "nosuch"}, {})


def test_the_cloud_may_download_it_itself(cloudstack: Lab, cloud: Cloud) -> None:
    """What it cannot download is told in its words, and nothing is left."""
    cid = cloud.create_stemcell("", {**_KVM, "source_url": "http://images.example/tiny.qcow2"}, {})
    assert len(rows(cloudstack, cid)) == 1
    cloud.delete_stemcell(cid)
    with pytest.raises(errors.CloudError, match="Failed to download: Unknown host"):
        cloud.create_stemcell("", {**_KVM, "source_url": "http://unreachable.example/tiny.qcow2"}, {})


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"hypervisor": "kvm", "disk_format": "vhd"}, "format is invalid for the hypervisor KVM"),
        ({**_KVM, "os_type": "Plan 9"}, "no guest OS type 'Plan 9'"),
        ({**_KVM, "infrastructure": "aws"}, "expected cloudstack, got 'aws'"),
        ({**_KVM, "disk_format": "vhdx"}, "is not of the format VHDX"),
    ],
)
def test_what_cannot_be_is_refused(cloud: Cloud, image: str, properties: dict[str, str], said: str) -> None:
    """And nothing is left."""
    with pytest.raises(errors.Error, match=said):
        cloud.create_stemcell(image, properties, {})


def test_an_upload_that_breaks_off_leaves_nothing(cloudstack: Lab, cloud: Cloud, image: str) -> None:
    """The template that was announced is deleted."""
    broken = b'{"postuploadtemplateresponse": {"getuploadparams": {"postURL": "http://127.0.0.1:9/upload/x", "signature": "", '
    answer = broken + b'"metadata": "", "expires": ""}}}'
    rule = Rule("getUploadParamsForTemplate", effects.instead(200, answer, {"Content-Type": "application/json"}))
    with cloudstack.rule(rule), pytest.raises(errors.CloudError, match="broke off"):
        cloud.create_stemcell(image, _KVM, {})
