"""The cloud does what it was asked, and its answer never comes: what was made is found, and made once."""

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.model import Network
from cpi.contract.units import MiB
from fixtures.clouds.openstack.lab import Lab
from fixtures.proxy import Rule, effects
from tests.drivers.openstack.conftest import MakeVm, gone_after, manual

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("census_kept")]

RAW = {"name": "tiny", "version": "4", "disk_format": "raw"}


def test_create_vm_finds_its_port_and_its_server_and_associates_its_floating_ip(
    project: Lab, cloud: Cloud, make_vm: MakeVm, floating_address: str
) -> None:
    """Within the same call: one VM, one port, at the floating IP."""
    before = project.census()
    lost = [
        ("neutron", Rule("POST /v2.0/ports", effects.lost_answer(), times=1)),
        ("nova", Rule("POST /v2.1/servers", effects.lost_answer(), times=1)),
        ("neutron", Rule("PUT /v2.0/floatingips/{id}", effects.lost_answer(), times=1)),
    ]
    for service, rule in lost:
        project.proxies[service].inject(rule)
    networks = {"a": manual(project), "v": Network(type="vip", ip=floating_address)}
    with gone_after(cloud, make_vm(cloud, networks=networks)) as vm:
        assert [rule.met for _, rule in lost] == [1, 1, 1]
        assert project.census() == {**before, "servers": before["servers"] + 1, "ports": before["ports"] + 1}
        port = next(iter(project.sdk.network.ports(device_id=vm.cid)))
        assert next(iter(project.sdk.network.ips(floating_ip_address=floating_address))).port_id == port.id
    for service, rule in lost:
        project.proxies[service].withdraw(rule)


def test_a_server_that_was_never_made_is_told_as_uncertain(project: Lab, brittle_cloud: Cloud, make_vm: MakeVm) -> None:
    """It is not claimed that a repeat is safe."""
    reset = Rule("POST /v2.1/servers", effects.reset(), times=1)
    with project.rule("nova", reset), pytest.raises(errors.VMCreationFailed, match="may have been done") as caught:
        make_vm(brittle_cloud)
    assert not caught.value.ok_to_retry


def test_disks_and_snapshots_are_found_by_their_names(project: Lab, brittle_cloud: Cloud) -> None:
    """Which nothing else has."""
    before = project.census()
    with project.rule("cinder", Rule("POST /v3/volumes", effects.lost_answer(), times=1)) as volume:
        disk_cid = brittle_cloud.create_disk(MiB(1024), {})
    with project.rule("cinder", Rule("POST /v3/snapshots", effects.lost_answer(), times=1)) as snapshot:
        snapshot_cid = brittle_cloud.snapshot_disk(disk_cid, {"job": "db"})
    assert (volume.met, snapshot.met) == (1, 1)
    assert project.census() == {**before, "volumes": before["volumes"] + 1, "snapshots": before["snapshots"] + 1}
    brittle_cloud.delete_snapshot(snapshot_cid)
    brittle_cloud.delete_disk(disk_cid)


def test_a_disk_that_changed_without_an_answer_is_not_changed_again(project: Lab, brittle_cloud: Cloud) -> None:
    """Its size and type are looked at."""
    disk_cid = brittle_cloud.create_disk(MiB(1024), {})
    with project.rule("cinder", Rule("POST /v3/volumes/{id}/action *", effects.lost_answer(), times=2)) as rule:
        brittle_cloud.update_disk(disk_cid, MiB(3072), {"type": "fast"})
    assert rule.met == 2
    volume = project.sdk.block_storage.get_volume(disk_cid)
    assert (volume.size, volume.volume_type) == (3, "fast")
    brittle_cloud.delete_disk(disk_cid)


def test_attach_detach_and_the_deletions_are_found_done(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """Each is repeated or looked for; none of them tells a fault that is none."""
    disk_cid = cloud.create_disk(MiB(1024), {})
    snapshot_cid = cloud.snapshot_disk(disk_cid, {})
    vm = make_vm(cloud)

    def lost(service: str, action: str) -> Rule:
        rule = Rule(action, effects.lost_answer(), times=1)
        project.proxies[service].inject(rule)
        return rule

    rules = [
        lost("nova", "POST *os-volume_attachments"),
        lost("nova", "DELETE *"),
        lost("cinder", "DELETE /v3/snapshots/*"),
        lost("cinder", "DELETE /v3/volumes/*"),
    ]
    assert cloud.attach_disk(vm.cid, disk_cid).device
    cloud.detach_disk(vm.cid, disk_cid)
    assert rules[1].met == 1
    rules.append(lost("nova", "DELETE /v2.1/servers/{id}"))
    cloud.delete_vm(vm.cid)
    cloud.delete_snapshot(snapshot_cid)
    cloud.delete_disk(disk_cid)
    assert [rule.met for rule in rules] == [1] * len(rules)
    for proxy in project.proxies.values():
        proxy.withdraw_all()


def test_an_image_and_its_bytes_are_found(project: Lab, brittle_cloud: Cloud, image_path: str) -> None:
    """By a mark that the call put on it; its hash tells that all of it came."""
    with (
        project.rule("glance", Rule("POST /v2/images", effects.lost_answer(), times=1)) as made,
        project.rule("glance", Rule("PUT /v2/images/{id}/file", effects.lost_answer(), times=1)) as sent,
    ):
        cid = brittle_cloud.create_stemcell(image_path, RAW, {})
    assert (made.met, sent.met) == (1, 1)
    brittle_cloud.delete_stemcell(cid)
