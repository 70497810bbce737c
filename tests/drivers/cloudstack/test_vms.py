"""VMs: every property does what its row in the page says, and goes with the VM."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.model import Network, Vm, VmResources
from cpi.contract.operator import ShowsAgentSettings
from cpi.contract.units import MiB
from fixtures.clouds.cloudstack.lab import Lab
from tests.drivers.cloudstack.conftest import Connect, Helper

pytestmark = pytest.mark.slow

_GIB = MiB(1024)


def told(cloud: Cloud, vm: Vm) -> Mapping[str, Any]:
    """What the agent reads."""
    assert isinstance(cloud, ShowsAgentSettings)
    return cloud.agent_settings(vm.cid)


def disks(cloudstack: Lab, vm: Vm, kind: str = "DATADISK") -> list[dict[str, Any]]:
    """The volumes of a VM."""
    found = cloudstack.one("listVirtualMachines", vm.cid)
    return cloudstack.all("listVolumes", virtualmachineid=found["id"], type=kind)


# ------------------------------------------------------------------ sizes


def test_offerings_are_named_or_given_by_id(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """Both mean the same."""
    medium = cloudstack.all("listServiceOfferings", name="medium")[0]
    for wish in ("medium", medium["id"]):
        assert helper.seen(helper.vm(cloud, compute_offering=wish))["memory"] == 4096


def test_a_customised_offering_takes_cpu_ram_and_speed(cloud: Cloud, helper: Helper) -> None:
    """The speed has a default."""
    seen = helper.seen(helper.vm(cloud, compute_offering="custom", cpu=3, ram=1536))
    assert (seen["cpunumber"], seen["memory"], seen["cpuspeed"]) == (3, 1536, 2000)


@pytest.mark.parametrize(
    "wish", [{"compute_offering": "custom"}, {"cpu": 2, "ram": 1024}, {"compute_offering": "custom", "cpu": 1}]
)
def test_cpu_and_ram_are_for_customised_offerings(cloud: Cloud, helper: Helper, wish: dict[str, Any]) -> None:
    """Needed there, refused elsewhere."""
    with pytest.raises(errors.CpiError, match="cpu and ram"):
        helper.vm(cloud, **wish)


def test_an_offering_that_is_none_is_named(cloud: Cloud, helper: Helper) -> None:
    """Before anything is made."""
    with pytest.raises(errors.CloudError, match="no compute offering 'huge'"):
        helper.vm(cloud, compute_offering="huge")


def test_ephemeral_and_root_disk_have_their_sizes(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """Rounded up; the ephemeral one is no persistent disk, and the agent knows its device."""
    vm = helper.vm(cloud, disk=1500, root_disk_size=7000)
    assert [disk["size"] >> 30 for disk in disks(cloudstack, vm)] == [2]
    assert [disk["size"] >> 30 for disk in disks(cloudstack, vm, "ROOT")] == [7]
    assert cloud.get_disks(vm.cid) == []
    assert told(cloud, vm)["disks"] == {"system": "/dev/vda", "ephemeral": "/dev/vdb", "persistent": {}}


def test_the_ephemeral_offering_may_be_a_fixed_one(cloudstack: Lab, connect: Connect, helper: Helper) -> None:
    """Said by the VM type, or by the configuration."""
    by_type = helper.vm(connect(), ephemeral_disk_offering="fixed-5")
    by_default = helper.vm(connect(default_offer={"ephemeral_disk": "fixed-20"}), disk=10_000)
    assert [disk["diskofferingname"] for vm in (by_type, by_default) for disk in disks(cloudstack, vm)] == ["fixed-5", "fixed-20"]
    with pytest.raises(errors.NoDiskSpace, match="have 5 GiB, not 10 GiB"):
        helper.vm(connect(), ephemeral_disk_offering="fixed-5", disk=10_000)


def test_calculated_properties_are_those_of_the_smallest_offering(connect: Connect) -> None:
    """By tags if they are wished for; a customised one where no fixed one is large enough."""
    wish = VmResources(cpu=2, ram=MiB(2048), ephemeral_disk_size=MiB(3000))
    assert connect().calculate_vm_cloud_properties(wish) == {"compute_offering": "medium", "disk": 3000}
    filters = {"service_tags": ["big"], "disk_tags": ["fast"]}
    assert connect(calculate_cloud_prop=filters).calculate_vm_cloud_properties(wish) == {
        "compute_offering": "large",
        "disk": 3000,
        "ephemeral_disk_offering": "fast.custom",
    }
    larger = VmResources(cpu=16, ram=MiB(2048), ephemeral_disk_size=MiB(0))
    assert connect().calculate_vm_cloud_properties(larger) == {"compute_offering": "custom", "cpu": 16, "ram": 2048}
    with pytest.raises(errors.NotSupported):
        connect(calculate_cloud_prop={"not_service_tags": ["ssd"], "service_tags": ["ssd"]}).calculate_vm_cloud_properties(wish)


# ------------------------------------------------------------------ networks


def test_several_networks_become_nics_with_the_default_first(cloud: Cloud, helper: Helper) -> None:
    """The agent gets their MACs, and addresses as they turned out."""
    networks = {
        "hidden": helper.manual("tier-2", "10.32", cloud_properties={"name": "tier-2", "undiscoverable": True}, ip="10.32.2.77"),
        "private": helper.manual("bosh-net-2", "10.17"),
        "public": Network.from_document({"type": "dynamic", "default": ["gateway"], "cloud_properties": {"name": "tier-1"}}),
    }
    vm = helper.vm(cloud, networks)
    seen = helper.seen(vm)
    assert [nic["networkname"] for nic in seen["nic"]] == ["tier-1", "bosh-net-2", "tier-2"]
    assert seen["state"] == "Running"
    macs = {nic["networkname"]: nic["macaddress"] for nic in seen["nic"]}
    assert {name: network.mac for name, network in vm.networks.items()} == {
        "hidden": macs["tier-2"],
        "private": macs["bosh-net-2"],
        "public": macs["tier-1"],
    }
    settings = told(cloud, vm)["networks"]
    assert {name: network["mac"] for name, network in settings.items()} == {name: net.mac for name, net in vm.networks.items()}
    assert vm.networks["hidden"].ip == "10.32.2.77"
    assert vm.networks["public"].ip == settings["public"]["ip"] == seen["nic"][0]["ipaddress"]


def test_a_network_is_found_by_its_name_in_its_zone_or_by_its_id(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """Another zone has a network of the same name, and another network has it in its own."""
    here = next(one for one in cloudstack.all("listNetworks", zoneid=cloudstack.zone_ids["zone-1"]) if one["name"] == "bosh-net")
    vm = helper.vm(cloud, {"default": helper.manual(here["id"])})
    assert helper.seen(vm)["nic"][0]["networkid"] == here["id"]
    with pytest.raises(errors.CloudError, match="no network 'bosh'"):
        helper.vm(cloud, {"default": helper.manual("bosh")})


def test_in_a_basic_zone_vms_have_security_groups(connect: Connect, helper: Helper) -> None:
    """Those of the VM type win over those of the networks, which win over the default ones."""
    cloud = connect(default_zone="basic", default_security_groups=["default"])
    dynamic = {"default": Network(type="dynamic")}
    grouped = {"default": Network(type="dynamic", cloud_properties={"security_groups": ["bosh"]})}
    for networks, wish, groups in (
        (dynamic, [], ["default"]),
        (grouped, [], ["bosh"]),
        (grouped, ["web", "bosh"], ["web", "bosh"]),
    ):
        vm = helper.vm(cloud, networks, security_groups=wish)
        assert [group["name"] for group in helper.seen(vm)["securitygroup"]] == groups


def test_a_vip_leads_to_the_vm_that_asked_last(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """And nowhere once that is deleted."""

    def networks() -> dict[str, Network]:
        return {"default": helper.manual(), "vip": Network(type="vip", ip="192.0.2.11")}

    for _ in range(2):
        vm = helper.vm(cloud, networks())
        assert helper.seen(vm)["publicip"] == "192.0.2.11"
    cloud.delete_vm(vm.cid)
    assert cloudstack.all("listPublicIpAddresses", ipaddress="192.0.2.11")[0]["isstaticnat"] is False
    with pytest.raises(errors.CloudError, match=r"192\.0\.2\.99 is not one of this account"):
        helper.vm(cloud, {"default": helper.manual(), "vip": Network(type="vip", ip="192.0.2.99")})


def test_load_balancer_rules_are_made_joined_and_left(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """A rule that was made goes with its last VM; the census of the fixture sees that none stays."""
    rule = {"name": "web", "public_ip": "192.0.2.12", "private_port": 8080, "public_port": 80, "algorithm": "leastconn"}
    first, second = (helper.vm(cloud, lbs=[rule]) for _ in range(2))
    made = cloudstack.all("listLoadBalancerRules")[0]
    assert (made["algorithm"], made["privateport"], made["publicport"]) == ("leastconn", "8080", "80")

    def members() -> set[str]:
        return {vm["name"] for vm in cloudstack.all("listLoadBalancerRuleInstances", id=made["id"])}

    assert members() == {first.cid, second.cid}
    cloud.delete_vm(first.cid)
    assert members() == {second.cid}
    cloud.delete_vm(second.cid)
    assert cloudstack.all("listLoadBalancerRules") == []


def test_a_rule_that_was_there_stays(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """It is somebody else's."""
    address = cloudstack.all("listPublicIpAddresses", ipaddress="192.0.2.13")[0]
    ports = {"privateport": 80, "publicport": 80}
    cloudstack.api.createLoadBalancerRule(name="theirs", algorithm="source", publicipid=address["id"], **ports)
    rule = {"name": "theirs", "public_ip": "192.0.2.13", "private_port": 80, "public_port": 80}
    cloud.delete_vm(helper.vm(cloud, lbs=[rule]).cid)
    with pytest.raises(errors.CloudError, match="leads from port 80 to 80"):
        helper.vm(cloud, lbs=[{**rule, "public_port": 443}])
    found = cloudstack.all("listLoadBalancerRules")
    assert [one["name"] for one in found] == ["theirs"]
    cloudstack.api.deleteLoadBalancerRule(id=found[0]["id"])


# ------------------------------------------------------------------ where it lies, whose it is


def test_an_affinity_group_is_made_on_demand(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """Once; one that was wished for by name stays."""
    for _ in range(2):
        vm = helper.vm(cloud, affinity_group="apart", affinity_group_type="non-strict host anti-affinity")
        assert [group["name"] for group in helper.seen(vm)["affinitygroup"]] == ["apart"]
        cloud.delete_vm(vm.cid)
    group = cloudstack.all("listAffinityGroups", name="apart")[0]
    cloudstack.api.deleteAffinityGroup(id=group["id"])


def test_each_instance_group_has_an_affinity_group_if_that_is_asked_for(connect: Connect, helper: Helper) -> None:
    """It goes with the last VM; when no host is left that is said."""
    cloud = connect(enable_auto_anti_affinity=True, director_name="director")
    env = {"bosh": {"group": "db"}}
    made = [helper.vm(cloud, env=env) for _ in range(3)]
    assert [group["name"] for group in helper.seen(made[0])["affinitygroup"]] == ["multicpi-director-db"]
    with pytest.raises(errors.VMCreationFailed, match="may have no host left") as caught:
        helper.vm(cloud, env=env)
    assert caught.value.ok_to_retry


def test_disks_that_will_be_attached_decide_the_zone(cloud: Cloud, helper: Helper, cloudstack: Lab) -> None:
    """A VM in another zone could not have them, and a disk that is none is named."""
    disk = cloud.create_disk(_GIB, {"zone": "zone-2"})
    properties = {"compute_offering": "small"}
    networks = {"default": helper.manual()}
    with pytest.raises(errors.CloudError, match="lies in the zone zone-2"):
        cloud.create_vm("agent", "light-kvm light", properties, networks, [disk])  # type: ignore[arg-type]  # plain strings will do
    assert cloudstack.one("listVolumes", disk)["zonename"] == "zone-2"
    cloud.delete_disk(disk)
    with pytest.raises(errors.DiskNotFound):
        cloud.create_vm("agent", "light-kvm light", properties, networks, [disk])  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("project", ["bosh-project", None])
def test_everything_is_made_in_the_project(cloudstack: Lab, connect: Connect, helper: Helper, project: str | None) -> None:
    """By its name or its id; from outside nothing is done to it."""
    wish = project or cloudstack.all("listProjects")[0]["id"]
    cloud, outside = connect(project=wish, default_key_name=None), connect()
    networks = {"default": helper.manual("project-net", "10.20")}
    vm, disk = helper.vm(cloud, networks, disk=1000).cid, cloud.create_disk(_GIB, {})
    cloud.attach_disk(vm, disk)
    assert list(cloud.get_disks(vm)) == [disk]
    with pytest.raises(errors.CloudError, match="is in the project bosh"):
        outside.has_vm(vm)
    with pytest.raises(errors.CloudError, match="is in the project bosh"):
        outside.has_disk(disk)
    cloud.delete_vm(vm)
    cloud.delete_disk(disk)
    project_id = cloudstack.all("listProjects")[0]["id"]
    assert cloudstack.all("listVolumes", projectid=project_id) == []


def test_another_account_is_named_with_its_domain(cloudstack: Lab, connect: Connect) -> None:
    """The fake knows one account."""
    domain = cloudstack.all("listVolumes") or [{"domainid": "00000000-0000-0000-0000-000000000001"}]
    cloud = connect(account="bosh", domain_id=domain[0]["domainid"])
    cloud.delete_disk(cloud.create_disk(_GIB, {}))
    nobody = connect(account="nobody", domain_id=domain[0]["domainid"])
    with pytest.raises(errors.CloudError, match="Unable to find account nobody"):
        nobody.create_disk(_GIB, {})


# ------------------------------------------------------------------ what the agent gets


def test_user_data_go_up_to_32_kilobytes_and_no_further(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """More is refused before anything is asked."""
    vm = helper.vm(cloud, env={"large": "x" * 22_000})
    assert told(cloud, vm)["env"]["large"] == "x" * 22_000
    cloudstack.proxy.forget_calls()
    with pytest.raises(errors.CpiError, match="CloudStack takes less than 32768"):
        helper.vm(cloud, env={"large": "x" * 25_000})
    assert not cloudstack.calls()


def test_the_agent_gets_routes(cloud: Cloud, helper: Helper) -> None:
    """By the name of a network of the VM."""
    ways = {"default": [{"cidr": "10.99.0.0/16", "gateway": "10.16.0.9"}]}
    vm = helper.vm(cloud, routes=ways)
    assert told(cloud, vm)["networks"]["default"]["routes"] == [{"destination": "10.99.0.0/16", "gateway": "10.16.0.9"}]
    with pytest.raises(errors.CpiError, match="no network 'other'"):
        helper.vm(cloud, routes={"other": ways["default"]})


def test_a_vm_has_key_pair_and_tags_from_birth(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """env.bosh.tags among them; a key pair that is none is told as the cloud tells it."""
    vm = helper.vm(cloud, env={"bosh": {"tags": {"team": "blue", "odd": "~[*] ü"}}}, token="a-token")  # noqa: S106 - of a call
    assert helper.seen(vm)["keypair"] == "bosh"
    tags = cloudstack.tags(vm.cid)
    assert {"team": "blue", "odd": "~[*] ü", "multicpi": "1", "multicpi-token": "a-token"}.items() <= tags.items()
    with pytest.raises(errors.CloudError, match="key pair with name 'nosuch'"):
        helper.vm(cloud, key_name="nosuch")


# ------------------------------------------------------------------ their end


def test_a_stopped_vm_is_started_by_a_reboot(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """Whoever stopped it."""
    vm = helper.vm(cloud)
    cloudstack.api.stopVirtualMachine(id=helper.seen(vm)["id"])
    cloud.reboot_vm(vm.cid)
    assert helper.seen(vm)["state"] == "Running"


def test_a_finished_vm_is_never_replaced_by_a_repeat(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """With its token: it is started if somebody stopped it, and keeps its disks."""
    networks, disk = {"default": helper.manual()}, cloud.create_disk(_GIB, {})
    vm = helper.vm(cloud, networks, token="kept", disk=1000)  # noqa: S106 - of a call
    cloud.attach_disk(vm.cid, disk)
    before = helper.seen(vm)["id"]
    cloudstack.api.stopVirtualMachine(id=before)
    assert helper.vm(cloud, networks, token="kept", disk=1000) == vm  # noqa: S106 - of a call
    assert (helper.seen(vm)["id"], helper.seen(vm)["state"]) == (before, "Running")
    assert list(cloud.get_disks(vm.cid)) == [disk]
    cloud.delete_vm(vm.cid)
    cloud.delete_disk(disk)


def test_vms_of_the_official_cpi_go_with_their_ephemeral_disks(cloudstack: Lab, cloud: Cloud) -> None:
    """Known by their names; the persistent one lives on."""
    zone = cloudstack.zone_ids["zone-1"]
    network = next(one for one in cloudstack.all("listNetworks", zoneid=zone) if one["name"] == "bosh-net")
    offering = cloudstack.all("listDiskOfferings", name="shared.custom")[0]["id"]
    vm = cloudstack.api.deployVirtualMachine(
        name="cpivm-of-theirs",
        zoneid=zone,
        templateid=cloudstack.all("listTemplates", templatefilter="executable", name="light-kvm")[0]["id"],
        serviceofferingid=cloudstack.all("listServiceOfferings", name="small")[0]["id"],
        networkids=network["id"],
        userdata=base64.b64encode(json.dumps({"theirs": True}).encode()).decode(),
    )["virtualmachine"]
    for name in ("cpi-ephemeral-disk-1", "cpi-disk-of-theirs"):
        volume = cloudstack.api.createVolume(name=name, zoneid=zone, diskofferingid=offering, size=1)["volume"]
        cloudstack.api.attachVolume(id=volume["id"], virtualmachineid=vm["id"])
    theirs = Vm(vm["name"], {})
    assert list(cloud.get_disks(theirs.cid)) == ["cpi-disk-of-theirs"]
    assert told(cloud, theirs) == {"theirs": True}
    cloud.delete_vm(theirs.cid)
    assert [disk["name"] for disk in cloudstack.all("listVolumes")] == ["cpi-disk-of-theirs"]
    cloud.delete_disk("cpi-disk-of-theirs")  # type: ignore[arg-type]  # a plain string will do


@pytest.mark.parametrize("word", ["expunge_vm", "force_expunge"])
def test_without_expunging_disks_and_addresses_are_free_all_the_same(
    cloudstack: Lab, connect: Connect, helper: Helper, word: str
) -> None:
    """The VM stays in the cloud's bin, and is gone for us."""
    cloud = connect(**{word: False})
    vm = helper.vm(cloud, {"default": helper.manual(), "vip": Network(type="vip", ip="192.0.2.11")}, disk=1000)
    disk = cloud.create_disk(_GIB, {})
    cloud.attach_disk(vm.cid, disk)
    cloud.delete_vm(vm.cid)
    assert not cloud.has_vm(vm.cid)
    assert cloudstack.all("listPublicIpAddresses", ipaddress="192.0.2.11")[0]["isstaticnat"] is False
    assert [one["name"] for one in cloudstack.all("listVolumes", type="DATADISK")] == [disk]
    cloud.delete_disk(disk)
    binned = cloudstack.one("listVirtualMachines", vm.cid)
    assert binned["state"] == "Destroyed"
    cloudstack.api.destroyVirtualMachine(id=binned["id"], expunge=True)
