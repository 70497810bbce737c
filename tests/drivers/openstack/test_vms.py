"""VMs in a real OpenStack, beyond what the contract asks for."""

import json
import uuid

import pytest

from cpi.connecting import connect
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, StemcellCid, VmCid
from cpi.contract.model import Network, Vm
from cpi.contract.units import MiB
from cpi_drivers.openstack import naming
from cpi_drivers.openstack.cloud import OpenStackCloud
from fixtures.clouds.openstack.lab import Lab
from fixtures.clouds.openstack.octavia import Octavia
from fixtures.clouds.openstack.watching import watch
from fixtures.proxy import Rule, effects
from tests.drivers.openstack.conftest import MakeVm, gone_after, manual

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("census_kept")]


def test_a_vm_has_both_addresses_of_a_nic_group_on_one_port(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """Dual stack; the agent is told both with the port's MAC."""
    networks = {"four": manual(project, nic_group="1"), "six": manual(project, 6, nic_group="1")}
    with gone_after(cloud, make_vm(cloud, networks=networks)) as vm:
        ports = list(project.sdk.network.ports(device_id=vm.cid))
        assert [{each["ip_address"] for each in port.fixed_ips} for port in ports] == [{each.ip for each in networks.values()}]
        told = project.user_data(vm.cid)["networks"]
        assert {told["four"]["mac"], told["six"]["mac"], vm.networks["six"].mac} == {ports[0].mac_address}


def test_several_manual_networks_get_a_port_each_and_no_dhcp(project: Lab, folder: str, make_vm: MakeVm) -> None:
    """With a config drive, from which the agent reads them."""
    with connect(project.config(cache_folder=folder, use_dhcp=False, config_drive="cdrom")) as cloud:
        networks = {"a": manual(project), "b": manual(project)}
        with gone_after(cloud, make_vm(cloud, networks=networks)) as vm:
            assert len(list(project.sdk.network.ports(device_id=vm.cid))) == 2
            assert project.sdk.compute.get_server(vm.cid).has_config_drive
            assert [each["use_dhcp"] for each in project.user_data(vm.cid)["networks"].values()] == [False, False]


def test_a_dynamic_network_turns_out_with_an_address(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """Neutron's choice, which the agent gets by DHCP."""
    networks = {"d": Network(type="dynamic", cloud_properties={"net_id": project.net_id})}
    with gone_after(cloud, make_vm(cloud, networks=networks)) as vm:
        assert vm.networks["d"].ip
        assert "ip" not in project.user_data(vm.cid)["networks"]["d"]


def test_the_floating_ip_moves_to_the_vm_from_wherever_it_was(project: Lab, cloud: Cloud, vm: Vm, make_vm: MakeVm) -> None:
    """It is the operator's: it stays when the VM goes."""
    outside, taken = project.sdk.network.find_network("public").id, next(iter(project.sdk.network.ports(device_id=vm.cid)))
    floating = project.sdk.network.create_ip(floating_network_id=outside, port_id=taken.id)
    vip = Network(type="vip", ip=floating.floating_ip_address)
    with gone_after(cloud, make_vm(cloud, networks={"a": manual(project), "v": vip})) as second:
        port = next(iter(project.sdk.network.ports(device_id=second.cid)))
        assert project.sdk.network.get_ip(floating.id).port_id == port.id
    assert project.sdk.network.get_ip(floating.id).port_id is None
    project.sdk.network.delete_ip(floating.id)


def test_a_floating_ip_that_is_not_the_projects_is_told_before_anything_is_made(
    project: Lab, cloud: Cloud, make_vm: MakeVm
) -> None:
    """By its address."""
    vip = Network(type="vip", ip="203.0.113.254")
    with pytest.raises(errors.CloudError, match=r"203\.0\.113\.254 is not the project's"):
        make_vm(cloud, networks={"a": manual(project), "v": vip})


def test_security_groups_of_the_vm_win_over_the_networks_over_the_default(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """By name or id."""
    groups = {group.name: group.id for group in project.sdk.network.security_groups(project_id=project.sdk.current_project_id)}

    def of(networks: dict[str, Network], **properties: object) -> list[str]:
        with gone_after(cloud, make_vm(cloud, networks=networks, **properties)) as vm:
            found: list[str] = next(iter(project.sdk.network.ports(device_id=vm.cid))).security_group_ids
            return found

    properties = {"net_id": project.net_id, "security_groups": ["web"]}
    assert of({"a": manual(project, cloud_properties=properties)}) == [groups["web"]]
    assert of({"a": manual(project, cloud_properties=properties)}, security_groups=[groups["bosh"]]) == [groups["bosh"]]


def test_a_port_that_is_nobodys_gives_its_address_back(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """What a killed call left behind must not keep a VM from coming back."""
    network = manual(project)
    stale = project.sdk.network.create_port(network_id=project.net_id, fixed_ips=[{"ip_address": network.ip}])
    with gone_after(cloud, make_vm(cloud, networks={"a": network})):
        assert project.sdk.network.find_port(stale.id) is None


def test_ports_left_by_a_vm_that_is_gone_are_found_by_their_tag(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """A delete_vm that was killed between the server and its port is finished by the next."""
    vm = make_vm(cloud)
    project.sdk.compute.delete_server(vm.cid)
    watch(lambda: project.sdk.compute.find_server(vm.cid) is None, 300)
    held = f"ip_address={vm.networks['default'].ip}"
    assert list(project.sdk.network.ports(fixed_ips=held))
    cloud.delete_vm(vm.cid)
    assert not list(project.sdk.network.ports(fixed_ips=held))


@pytest.mark.parametrize("state", [{"status": "DELETED"}, {"status": "ACTIVE", "OS-EXT-STS:task_state": "deleting"}])
def test_ports_that_nova_let_go_are_found_while_it_still_shows_the_vm(project: Lab, cloud: Cloud, state: dict[str, str]) -> None:
    """A delete_vm that was killed is finished by one that comes while Nova is at it."""
    gone = str(uuid.uuid4())
    port = project.sdk.network.create_port(network_id=project.net_id)
    project.sdk.network.add_tag(port, naming.port_tag(gone))
    shown = json.dumps({"server": {"id": gone, "metadata": {}, **state}}).encode()
    rule = Rule("GET /v2.1/servers/{id}", effects.answer(200, shown, {"Content-Type": "application/json"}), times=1)
    with project.rule("nova", rule):
        cloud.delete_vm(VmCid(gone))
    assert rule.met == 1
    assert project.sdk.network.find_port(port.id) is None


def test_want_of_room_is_told_with_novas_words_and_may_be_tried_again(cloud: Cloud, make_vm: MakeVm) -> None:
    """No host is so large; each flavour was tried."""
    with pytest.raises(errors.VMCreationFailed, match="No valid host") as caught:
        make_vm(cloud, instance_type=None, instance_types=["m1.huge", "m1.huge"])
    assert caught.value.ok_to_retry
    assert caught.value.message.count("m1.huge in any zone") == 2


def test_the_next_flavour_is_taken_when_there_is_no_room(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """Nothing of the first attempt stays."""
    with gone_after(cloud, make_vm(cloud, instance_type=None, instance_types=["m1.huge", "m1.small"])) as vm:
        assert project.sdk.compute.get_server(vm.cid).flavor.name == "m1.small"


def test_zones_are_tried_in_turn(project: Lab, folder: str, make_vm: MakeVm) -> None:
    """One of them does not exist."""
    zones = ["nosuch-1", "nova", "nosuch-2"]
    with connect(project.config(cache_folder=folder, ignore_server_availability_zone=True)) as cloud:
        vm = make_vm(cloud, availability_zones=zones)
        assert project.sdk.compute.get_server(vm.cid).availability_zone == "nova"
        cloud.delete_vm(vm.cid)


def test_a_flavour_with_a_cramped_ephemeral_disk_is_refused(cloud: Cloud, make_vm: MakeVm) -> None:
    """The agent would fail to make swap on it."""
    with pytest.raises(errors.CloudError, match="at least twice its memory"):
        make_vm(cloud, instance_type="m1.cramped")


def test_a_vm_boots_from_a_volume_that_is_none_of_its_disks(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """It goes with the VM."""
    properties = {"boot_from_volume": True, "root_disk": {"size": 7}, "instance_type": "m1.rootless"}
    with gone_after(cloud, make_vm(cloud, **properties)) as vm:
        assert [volume.size for volume in project.sdk.block_storage.volumes()] == [7]
        assert list(cloud.get_disks(vm.cid)) == []
    watch(lambda: not list(project.sdk.block_storage.volumes(details=False)), 120)


def test_an_instance_group_has_a_server_group_until_its_last_vm_goes(
    project: Lab, folder: str, stemcell_cid: StemcellCid
) -> None:
    """For the operators who ask for it."""
    env = {"bosh": {"group": "director-deployment-database"}}
    with connect(project.config(cache_folder=folder, anti_affinity_per_instance_group=True)) as cloud:
        vm = cloud.create_vm(AgentId("a"), stemcell_cid, {"instance_type": "m1.tiny"}, {"a": manual(project)}, (), env)
        groups = list(project.sdk.compute.get("/os-server-groups", microversion="2.15").json()["server_groups"])
        assert [(group["name"], group["policies"]) for group in groups] == [
            ("multicpi-director-deployment-database", ["soft-anti-affinity"])
        ]
        assert groups[0]["members"] == [vm.cid]
        cloud.delete_vm(vm.cid)


def test_scheduler_hints_and_the_key_reach_nova(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """A hash, which one of the official CPIs cannot read. An operator's group is not ours to remove."""
    compute = project.sdk.compute
    group = compute.create_server_group(name="theirs", policies=["anti-affinity"])
    compute.create_keypair(name="other")
    with gone_after(cloud, make_vm(cloud, scheduler_hints={"group": group.id}, key_name="other")) as vm:
        assert compute.get_server_group(group.id).member_ids == [vm.cid]
        assert compute.get_server(vm.cid).key_name == "other"
    compute.delete_keypair("other")
    compute.delete_server_group(group.id, ignore_missing=False)


def test_a_used_up_quota_of_server_groups_costs_the_anti_affinity_not_the_vm(
    project: Lab, folder: str, stemcell_cid: StemcellCid
) -> None:
    """The official CPI withdrew it for this."""
    owner = project.owner
    owner.set_compute_quotas(project.sdk.current_project_id, server_groups=0)
    try:
        with connect(project.config(cache_folder=folder, anti_affinity_per_instance_group=True)) as cloud:
            env = {"bosh": {"group": "g"}}
            vm = cloud.create_vm(AgentId("a"), stemcell_cid, {"instance_type": "m1.tiny"}, {"a": manual(project)}, (), env)
            cloud.delete_vm(vm.cid)
    finally:
        owner.set_compute_quotas(project.sdk.current_project_id, server_groups=10)


def test_vrrp_addresses_are_allowed_on_the_port_if_a_port_has_them(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """Unless the check is switched off."""
    address = project.free_address()
    with pytest.raises(errors.CloudError, match="allowed_address_pairs"):
        make_vm(cloud, allowed_address_pairs=address)
    with gone_after(cloud, make_vm(cloud, allowed_address_pairs=address, vrrp_port_check=False)) as vm:
        port = next(iter(project.sdk.network.ports(device_id=vm.cid)))
        assert [pair["ip_address"] for pair in port.allowed_address_pairs] == [address]


def test_names_are_for_people_where_that_is_asked(project: Lab, folder: str, vm: Vm) -> None:
    """As the metadata tell it."""
    with connect(project.config(cache_folder=folder, human_readable_vm_names=True)) as cloud:
        cloud.set_vm_metadata(vm.cid, {"job": "database", "index": "0"})
        assert project.sdk.compute.get_server(vm.cid).name == "database/0"


def test_a_vm_joins_its_pools_and_leaves_them(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """Also while somebody else changes the balancer; what it joined stands in its metadata, as the official CPIs write it."""
    octavia = Octavia("web", "tls")
    octavia.busy("web", looks=2)
    pools = [{"name": "web", "port": 80}, {"name": "tls", "port": 443, "monitoring_port": 8443}]
    with project.rule("octavia", octavia.rule):
        with gone_after(cloud, make_vm(cloud, loadbalancer_pools=pools)) as vm:
            (web,), (tls,) = octavia.members("web"), octavia.members("tls")
            assert (web["address"], web["protocol_port"]) == (vm.networks["default"].ip, 80)
            assert tls["monitor_port"] == 8443
            metadata = project.tags(vm.cid)
            assert {key: value.split("/")[1] for key, value in metadata.items() if key.startswith("lbaas_pool_")} == {
                "lbaas_pool_1": web["id"],
                "lbaas_pool_2": tls["id"],
            }
        assert octavia.members("web") + octavia.members("tls") == []
    assert octavia.refused_while_pending


def test_a_vm_that_cannot_join_a_pool_is_removed_from_the_others(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """With everything else that was made."""
    octavia = Octavia("web")
    pools = [{"name": "web", "port": 80}, {"name": "nosuch", "port": 443}]
    with project.rule("octavia", octavia.rule), pytest.raises(errors.CloudError, match="no load balancer pool 'nosuch'"):
        make_vm(cloud, loadbalancer_pools=pools)
    assert octavia.members("web") == []


def test_a_lost_answer_of_octavia_makes_no_second_member(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """It is found by its name."""
    octavia = Octavia("web")
    lost = Rule("POST *", effects.lost_answer(), times=1)
    with project.rule("octavia", octavia.rule), project.rule("octavia", lost):
        vm = make_vm(cloud, loadbalancer_pools=[{"name": "web", "port": 80}])
        assert lost.met == 1
        assert len(octavia.members("web")) == 1
        cloud.delete_vm(vm.cid)


def test_a_disk_lies_in_the_zone_of_its_vm(project: Lab, cloud: Cloud, vm: Vm) -> None:
    """And has at least a whole GiB."""
    disk_cid = cloud.create_disk(MiB(1), {}, vm.cid)
    volume = project.sdk.block_storage.get_volume(disk_cid)
    assert (volume.availability_zone, volume.size) == ("nova", 1)
    cloud.delete_disk(disk_cid)


def test_a_disk_type_that_does_not_exist_is_not_supported_before_the_disk_is_touched(project: Lab, cloud: Cloud) -> None:
    """The director then copies."""
    disk_cid = cloud.create_disk(MiB(1024), {})
    with pytest.raises(errors.NotSupported, match="there is none; known:"):
        cloud.update_disk(disk_cid, MiB(2048), {"type": "nosuch"})
    assert project.sdk.block_storage.get_volume(disk_cid).size == 1
    cloud.update_disk(disk_cid, MiB(2048), {"type": "fast"})
    volume = project.sdk.block_storage.get_volume(disk_cid)
    assert (volume.size, volume.volume_type) == (2, "fast")
    cloud.delete_disk(disk_cid)


def test_an_attached_disk_grows_where_that_is_asked(project: Lab, folder: str, vm: Vm) -> None:
    """By Cinder 3.42; or it is told that this back end cannot."""
    with connect(project.config(cache_folder=folder, online_resize=True)) as cloud:
        disk_cid = cloud.create_disk(MiB(1024), {})
        cloud.attach_disk(vm.cid, disk_cid)
        cloud.resize_disk(disk_cid, MiB(2048))
        assert project.sdk.block_storage.get_volume(disk_cid).size == 2
        assert isinstance(cloud, OpenStackCloud)
        cloud.grow_attached_disk(vm.cid, disk_cid, MiB(3072))
        cloud.change_attached_disk(vm.cid, disk_cid, MiB(3072), {"type": "fast"})
        volume = project.sdk.block_storage.get_volume(disk_cid)
        assert (volume.size, volume.volume_type, volume.status) == (3, "fast", "in-use")
        cloud.detach_disk(vm.cid, disk_cid)
        cloud.delete_disk(disk_cid)


def test_a_vm_that_is_off_is_started_by_a_reboot(project: Lab, cloud: Cloud, vm: Vm) -> None:
    """Only cck calls it."""
    project.sdk.compute.stop_server(vm.cid)
    project.sdk.compute.wait_for_server(project.sdk.compute.get_server(vm.cid), status="SHUTOFF", interval=0.5, wait=300)
    cloud.reboot_vm(vm.cid)
    assert project.sdk.compute.get_server(vm.cid).status == "ACTIVE"


def test_nobody_may_delete_what_is_no_id(cloud: Cloud) -> None:
    """A CID is a path's segment, never more."""
    cloud.delete_vm(VmCid("../images"))
    assert cloud.has_vm(VmCid(str(uuid.uuid4()))) is False
