"""VMs: every property does what its row in the page says, and goes with the VM."""

import io
import uuid
from collections.abc import Mapping
from typing import Any

import pycdlib
import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, DiskCid, StemcellCid, VmCid
from cpi.contract.model import Network, Vm
from cpi.contract.operator import ShowsAgentSettings
from cpi.contract.units import MiB
from cpi_drivers.vcloud.cloud import VcloudCloud
from fixtures.clouds.vcloud.lab import Lab, refused
from fixtures.proxy import Rule
from tests.drivers.vcloud.conftest import SMALL, Connect, Helper

pytestmark = pytest.mark.slow


def told(cloud: Cloud, vm: Vm) -> Mapping[str, Any]:
    """What the agent reads."""
    assert isinstance(cloud, ShowsAgentSettings)
    return cloud.agent_settings(vm.cid)


# ------------------------------------------------------------------ sizes and places


def test_cpu_ram_and_disks_are_as_wished(cloud: Cloud, helper: Helper) -> None:
    """The agent is told the units; the ephemeral disk is no persistent one."""
    vm = helper.vm(cloud, cpu=4, ram=2048, cores_per_socket=2, disk=3000)
    seen = helper.seen(vm)
    assert (seen["cpus"], seen["cores"], seen["memory_mb"]) == (4, 2, 2048)
    assert [(disk["size_mb"], disk["unit"]) for disk in seen["disks"]] == [(3072, 0), (3000, 1)]
    assert told(cloud, vm)["disks"] == {"system": "0", "ephemeral": "1", "persistent": {}}
    assert list(cloud.get_disks(vm.cid)) == []


def test_a_sizing_policy_says_cpu_and_ram(cloud: Cloud, helper: Helper) -> None:
    """And one that the vDC has not is named."""
    seen = helper.seen(helper.vm(cloud, cpu=None, ram=None, sizing_policy="medium", placement_policy="ssd-hosts"))
    assert (seen["cpus"], seen["memory_mb"]) == (2, 4096)
    with pytest.raises(errors.CloudError, match=r"no policy 'huge'; known: .*large"):
        helper.vm(cloud, sizing_policy="huge")


def test_cpu_and_ram_are_needed_without_one(cloud: Cloud, helper: Helper) -> None:
    """Before anything is made."""
    with pytest.raises(errors.CpiError, match="expected cpu and ram, or sizing_policy"):
        helper.vm(cloud, cpu=None)


def test_the_storage_profile_is_the_vm_types_or_the_configurations(connect: Connect, helper: Helper) -> None:
    """And one that the vDC has not is named."""
    by_type = helper.vm(connect(), storage_profile="fast")
    by_default = helper.vm(connect(entities={"vapp_storage_profile": "fast", "media_storage_profile": "fast"}))
    assert [helper.seen(vm)["profile"]["name"] for vm in (by_type, by_default)] == ["fast", "fast"]
    with pytest.raises(errors.CloudError, match="has no storage profile 'slow'; known: fast, little, standard"):
        helper.vm(connect(), storage_profile="slow")


def test_a_vm_lies_near_the_disks_that_it_will_have(cloud: Cloud, helper: Helper) -> None:
    """They are not attached; one that is not there is told."""
    disk = cloud.create_disk(MiB(100), {})
    assert list(cloud.get_disks(helper.vm(cloud, disks=(disk,)).cid)) == []
    cloud.delete_disk(disk)
    with pytest.raises(errors.DiskNotFound):
        helper.vm(cloud, disks=(DiskCid(f"urn:vcloud:disk:{uuid.uuid4()}"),))


def test_a_vm_may_be_made_in_a_vapp_that_others_share(vcloud: Lab, cloud: Cloud, helper: Helper) -> None:
    """As env.vapp or the VM type says; that vApp stays when they go."""
    shared = helper.vm(cloud)
    vapp = helper.seen(shared)["parent"]["name"]
    second = helper.vm(
        cloud, {"other": Network.from_document({"type": "dynamic", "cloud_properties": {"name": "bosh-net-2"}})}, vapp=vapp
    )
    third = helper.vm(cloud, env={"vapp": vapp}, token="a-token")  # noqa: S106 - no secret
    assert [helper.seen(vm)["parent"]["name"] for vm in (second, third)] == [vapp, vapp]
    assert helper.vm(cloud, env={"vapp": vapp}, token="a-token").cid == third.cid  # noqa: S106 - as above
    for vm in (second, third):
        cloud.delete_vm(vm.cid)
    assert cloud.has_vm(shared.cid)
    with pytest.raises(errors.CloudError, match="'nosuch' is not in the vDC"):
        helper.vm(cloud, vapp="nosuch")
    with vcloud.knobs(failing={"vappUpdateVm": "no"}), pytest.raises(errors.CloudError):
        helper.vm(cloud, vapp=vapp)
    assert cloud.has_vm(shared.cid)


# ------------------------------------------------------------------ networks


def test_several_networks_become_nics_with_the_default_first(cloud: Cloud, helper: Helper) -> None:
    """The agent gets their MACs, and addresses as they turned out."""
    networks = {
        "private": Network.from_document({"type": "dynamic", "cloud_properties": {"name": "bosh-net-2"}}),
        "public": helper.manual(default=["dns", "gateway"]),
    }
    vm = helper.vm(cloud, networks)
    nics = helper.seen(vm)["nics"]
    assert [nic["network"] for nic in nics] == ["bosh-net", "bosh-net-2"]
    assert [vm.networks[name].mac for name in ("public", "private")] == [nic["mac"] for nic in nics]
    settings = told(cloud, vm)["networks"]
    assert settings["private"]["ip"] == vm.networks["private"].ip
    assert str(vm.networks["private"].ip).startswith("10.17.0.")
    assert settings["public"]["mac"] == vm.networks["public"].mac


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"type": "vip", "ip": "192.0.2.1"}, "no vip networks"),
        ({"ip": "fd00::1", "cloud_properties": {"name": "bosh-net"}}, "needs an IPv4 address"),
        ({"ip": "10.16.0.99"}, "name: is missing"),
        ({"type": "dynamic", "cloud_properties": {"name": "nosuch"}}, "no network 'nosuch'; known: bosh-net"),
        ({"type": "dynamic", "cloud_properties": {"name": "bosh-net", "allocation": "NONE"}}, "allocation"),
    ],
)
def test_networks_that_cannot_be_are_told(cloud: Cloud, helper: Helper, network: dict[str, Any], said: str) -> None:
    """Before anything is made."""
    with pytest.raises(errors.Error, match=said):
        helper.vm(cloud, {"default": Network.from_document(network)})


def test_a_pool_without_an_address_left_may_have_one_later(cloud: Cloud, helper: Helper) -> None:
    """The director tries again."""
    tiny = {"default": Network.from_document({"type": "dynamic", "cloud_properties": {"name": "tiny-net"}})}
    for _ in range(2):
        helper.vm(cloud, tiny)
    with pytest.raises(errors.VMCreationFailed) as caught:
        helper.vm(cloud, tiny)
    assert caught.value.ok_to_retry


# ------------------------------------------------------------------ settings and metadata


def test_the_cd_says_what_the_guest_properties_say(vcloud: Lab, cloud: Cloud, helper: Helper) -> None:
    """The whole env, once."""
    vm = helper.vm(cloud, env={"bosh": {"password": "x", "tags": {"team": "blue"}}, "own": ["ü"]})
    media = vcloud.one("media", f"env-{vm.cid.rpartition(':')[2]}")
    image, content = pycdlib.PyCdlib(), io.BytesIO()
    (file,) = media["files"].values()
    image.open_fp(io.BytesIO(bytes.fromhex(file["content"])))
    image.get_file_from_iso_fp(content, iso_path="/ENV.;1")
    assert b'"own":["\\u00fc"]' in content.getvalue()
    settings = told(cloud, vm)
    assert settings["env"]["own"] == ["ü"]
    assert settings["mbus"] == "https://user:password-of-the-agent@0.0.0.0:6868"
    assert settings["vm"]["id"] == vm.cid


def test_vms_carry_who_made_them_and_what_the_configuration_says(vcloud: Lab, connect: Connect, helper: Helper) -> None:
    """From before they run."""
    cloud = connect(entities={"vm_metadata_key": "made-by", "description": "the platform"})
    vm = helper.vm(cloud, env={"bosh": {"tags": {"team": "blue"}}}, token="some-token")  # noqa: S106 - no secret
    wanted = {"multicpi": "1", "multicpi-token": "some-token", "team": "blue", "made-by": "the platform"}
    assert wanted.items() <= vcloud.tags(vm.cid).items()


# ------------------------------------------------------------------ restarting


def test_a_guest_that_does_not_restart_itself_is_reset(vcloud: Lab, cloud: Cloud, helper: Helper) -> None:
    """Soft first, then hard."""
    vm = helper.vm(cloud).cid
    with vcloud.rule(Rule("POST */power/action/reboot", refused(400, "BAD_REQUEST", "VMware Tools is not running"))):
        cloud.reboot_vm(vm)
    assert vcloud.calls()["POST /api/vApp/vm-{id}/power/action/reset"] == 1


@pytest.mark.parametrize("action", ["power/action/suspend", "power/action/powerOff"])
def test_a_vm_that_does_not_run_is_started(vcloud: Lab, cloud: Cloud, helper: Helper, action: str) -> None:
    """What a suspended one was doing is forgotten."""
    assert isinstance(cloud, VcloudCloud)
    vm = helper.vm(cloud)
    cloud._client.run(f"/api/vApp/vm-{vm.cid.rpartition(':')[2]}/{action}", "test")
    assert helper.seen(vm)["status"] != 4
    cloud.reboot_vm(vm.cid)
    assert helper.seen(vm)["status"] == 4


# ------------------------------------------------------------------ what is not there, or not ours


@pytest.mark.parametrize("cid", ["i-12345", "urn:vcloud:disk:00000000-0000-4000-8000-000000000000"])
def test_what_is_no_id_of_a_vm_is_no_vm(cloud: Cloud, cid: str) -> None:
    """A director may hand over another cloud's."""
    assert cloud.has_vm(VmCid(cid)) is False
    cloud.delete_vm(VmCid(cid))
    with pytest.raises(errors.VMNotFound):
        cloud.reboot_vm(VmCid(cid))
    with pytest.raises(errors.VMNotFound):
        cloud.set_vm_metadata(VmCid(cid), {"a": "b"})


def test_what_may_not_be_seen_is_not_claimed_to_be_gone(vcloud: Lab, cloud: Cloud, helper: Helper) -> None:
    """The cloud answers 403 for both: only if the VM is not in the list either, it is gone."""
    vm = helper.vm(cloud).cid
    denied = refused(403, "ACCESS_TO_RESOURCE_IS_FORBIDDEN", "Either you need some rights or the target entity is invalid")
    with vcloud.rule(Rule("GET /api/vApp/vm-*", denied)):
        for call in (cloud.has_vm, cloud.delete_vm):
            with pytest.raises(errors.CloudError, match="you need some rights"):
                call(vm)
    assert cloud.has_vm(vm)


def test_a_user_without_rights_is_told_which(connect: Connect, helper: Helper) -> None:
    """And nothing is made."""
    reader = connect(user="reader", password="password-of-reader")  # noqa: S106 - a test's
    with pytest.raises(errors.CloudError, match="rights"):
        helper.vm(reader)


def test_a_stemcell_that_is_not_there_is_told(cloud: Cloud, helper: Helper) -> None:
    """Before anything is made."""
    absent = StemcellCid(f"urn:vcloud:catalogitem:{uuid.uuid4()}")
    with pytest.raises(errors.CloudError, match=f"the stemcell {absent} does not exist"):
        helper.vm(cloud, stemcell=absent)


def test_a_name_that_is_taken_is_not_removed(cloud: Cloud, helper: Helper) -> None:
    """The VM that has it is somebody's."""
    agent_id = AgentId(str(uuid.uuid4()))
    first = cloud.create_vm(agent_id, helper.stemcell, SMALL, {"default": helper.manual()})
    with pytest.raises(errors.CloudError, match="DUPLICATE_NAME"):
        cloud.create_vm(agent_id, helper.stemcell, SMALL, {"default": helper.manual()})
    assert cloud.has_vm(first.cid)
    cloud.delete_vm(first.cid)
