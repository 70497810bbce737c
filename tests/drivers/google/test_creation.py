"""What create_vm asks of Google, read from what the fake holds afterwards."""

import json
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from fixtures.clouds.google.lab import ZONE, Lab
from fixtures.proxy import Rule, effects
from tests.drivers.google.conftest import Helper

pytestmark = pytest.mark.slow

_REGION = "projects/a-project/regions/europe-west1"
_ROOT = "https://www.googleapis.com/compute/v1/"


def _made(google: Lab, helper: Helper, **properties: Any) -> dict[str, Any]:
    made: dict[str, Any] = google.see("instances", helper.vm(**properties).cid)
    return made


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"machine_type": None, "cpu": 2, "ram": 4096}, "custom-2-4096"),
        ({"machine_type": None, "cpu": 2, "ram": 4096, "machine_series": "n2"}, "n2-custom-2-4096"),
        ({"machine_type": "n1-standard-1"}, "n1-standard-1"),
    ],
)
def test_machine_types_are_predefined_or_custom(google: Lab, helper: Helper, properties: dict[str, Any], name: str) -> None:
    """The series is the prefix of a custom type, but for n1."""
    assert _made(google, helper, **properties)["machineType"].endswith(f"/machineTypes/{name}")


def test_the_root_disk_is_of_the_size_type_and_speed_wished(google: Lab, helper: Helper) -> None:
    """It goes with the VM and carries its labels."""
    vm = _made(
        google,
        helper,
        root_disk_size_gb=20,
        root_disk_type="hyperdisk-balanced",
        root_disk_iops=4000,
        root_disk_throughput=200,
        labels={"team": "blue"},
    )
    root = google.see("disks", vm["name"])
    assert (root["sizeGb"], root["type"].rpartition("/")[2]) == ("20", "hyperdisk-balanced")
    assert (root["provisionedIops"], root["provisionedThroughput"]) == ("4000", "200")
    assert root["labels"]["team"] == vm["labels"]["team"] == "blue"
    assert vm["disks"][0]["autoDelete"] is True


def test_defaults_of_the_configuration_are_for_vms_that_name_nothing(google: Lab, helper: Helper) -> None:
    """Size and type of the root disk."""
    import cpi

    config = google.config(default_root_disk_size_gb=30, default_root_disk_type="pd-ssd")
    with cpi.connect(config) as helper.cloud:
        root = google.see("disks", _made(google, helper)["name"])
    assert (root["sizeGb"], root["type"].rpartition("/")[2]) == ("30", "pd-ssd")


@pytest.mark.parametrize(
    ("machine_type", "count"),
    [("n1-standard-1", 1), ("n2-standard-16", 2), ("n2d-standard-96", 8), ("c2-standard-30", 4), ("c2d-standard-32", 2)],
)
def test_local_ssds_are_as_many_as_the_machine_type_needs(google: Lab, helper: Helper, machine_type: str, count: int) -> None:
    """The first is the agent's ephemeral disk; none of them is a persistent disk."""
    vm = _made(google, helper, machine_type=machine_type, ephemeral_disk_type="local-ssd")
    assert sum(disk["type"] == "SCRATCH" for disk in vm["disks"]) == count
    assert helper.settings(vm["name"])["disks"]["ephemeral"] == "/dev/nvme0n1"
    assert list(helper.cloud.get_disks(vm["name"])) == []


def test_a_machine_type_that_brings_its_local_ssds_is_asked_for_none(google: Lab, helper: Helper) -> None:
    """Its other disks are on NVMe as well, so that the SSD is told by its identity."""
    vm = _made(google, helper, machine_type="c3-standard-8-lssd", ephemeral_disk_type="local-ssd")
    assert sum(disk["type"] == "SCRATCH" for disk in vm["disks"]) == 1
    assert helper.settings(vm["name"])["disks"]["ephemeral"] == "/dev/disk/by-id/google-local-nvme-ssd-0"


def test_preemptible_and_spot_vms_are_neither_restarted_nor_migrated(google: Lab, helper: Helper) -> None:
    """Google would refuse them otherwise. A node group does not go with SPOT."""
    preemptible = _made(google, helper, preemptible=True, automatic_restart=True)["scheduling"]
    assert preemptible == {"automaticRestart": False, "onHostMaintenance": "TERMINATE", "preemptible": True}
    spot = _made(google, helper, provisioning_model="SPOT", node_group="a-group")["scheduling"]
    assert spot == {"automaticRestart": False, "onHostMaintenance": "TERMINATE", "provisioningModel": "SPOT"}
    sole = _made(google, helper, node_group="a-group", automatic_restart=True)["scheduling"]
    affinity = {"key": "compute.googleapis.com/node-group-name", "operator": "IN", "values": ["a-group"]}
    assert sole == {"automaticRestart": True, "onHostMaintenance": "MIGRATE", "nodeAffinities": [affinity]}


def test_accelerators_end_migration(google: Lab, helper: Helper) -> None:
    """Google cannot migrate a VM with GPUs."""
    vm = _made(google, helper, accelerators=[{"type": "nvidia-tesla-t4", "count": 2}])
    assert vm["guestAccelerators"][0]["acceleratorType"].endswith(f"{ZONE}/acceleratorTypes/nvidia-tesla-t4")
    assert vm["scheduling"]["onHostMaintenance"] == "TERMINATE"


@pytest.mark.parametrize(
    ("properties", "account"),
    [
        ({"service_account": "a@b"}, {"email": "a@b", "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}),
        (
            {"service_scopes": ["devstorage.read_write", "https://www.googleapis.com/auth/compute"]},
            {
                "email": "default",
                "scopes": ["https://www.googleapis.com/auth/devstorage.read_write", "https://www.googleapis.com/auth/compute"],
            },
        ),
    ],
)
def test_service_accounts_have_scopes(google: Lab, helper: Helper, properties: dict[str, Any], account: dict[str, Any]) -> None:
    """Short names are made whole."""
    assert _made(google, helper, **properties)["serviceAccounts"] == [account]


def test_tags_are_those_of_the_vm_its_networks_and_its_groups(google: Lab, helper: Helper) -> None:
    """Groups are made to fit Google's grammar."""
    env = {"bosh": {"groups": ["Director_1", "9-lives", "x" * 80, "vm"], "tags": {"Deployment": "Blue Team"}}}
    vm = _made(google, helper, networks=helper.manual(tags=["net"]), tags=["vm"], env=env)
    assert vm["tags"]["items"] == ["vm", "net", "director-1", "n9-lives", "x" * 63]
    assert vm["labels"]["deployment"] == "blue-team"


def test_the_name_is_the_operators_to_choose(google: Lab, helper: Helper) -> None:
    """A taken one is refused; one that Google would not take is refused before any call."""
    assert helper.vm(name="my-vm").cid == "my-vm"
    with pytest.raises(errors.VMCreationFailed, match="another VM named my-vm") as caught:
        helper.vm(name="my-vm")
    assert not caught.value.ok_to_retry
    with pytest.raises(errors.CpiError, match="My VM"):
        helper.vm(name="My VM")


def test_a_vm_of_the_same_name_survives_a_lost_answer(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """What may have been made is removed, and nothing else."""
    import cpi

    helper.vm(name="my-vm")
    google.proxy.inject(Rule("POST instances", effects.answer(503, b"{}")))
    with cpi.connect(google.config(max_retries=0)) as helper.cloud, pytest.raises(errors.VMCreationFailed, match="503"):
        helper.vm(name="my-vm")
    assert cloud.has_vm(VmCid("my-vm"))


def test_labels_are_there_at_birth(google: Lab) -> None:
    """Who made it, for which director, by which request."""
    import cpi
    from cpi.contract.model import CallContext

    context = CallContext(director_uuid="director-1", request_id="cpi-1")
    with cpi.connect(google.config(), context=context) as cloud:
        labels = google.see("instances", Helper(google, cloud).vm(token="my token").cid)["labels"]  # noqa: S106 - not secret
    assert labels["multicpi"] == "1"
    assert (labels["multicpi-director"], labels["multicpi-request"]) == ("director-1", "cpi-1")
    assert "my token" not in json.dumps(labels)


def test_zones_and_machine_types_are_tried_in_turn(google: Lab, helper: Helper) -> None:
    """Every type in the first zone, then the next zone. Nothing is left of what could not be had."""
    google.set(exhausted=["europe-west1-b", "europe-west1-c/n1-standard-1"])
    properties = {"zone": None, "zones": ["europe-west1-b", "europe-west1-c"], "machine_types": ["n1-standard-2"]}
    vm = _made(google, helper, **properties)
    assert vm["zone"].endswith("europe-west1-c")
    assert vm["machineType"].endswith("n1-standard-2")
    assert google.census()["instances"] == google.census()["disks"] == 1


def test_missing_capacity_and_quota_are_told_apart(google: Lab, helper: Helper) -> None:
    """A repeat may help against the one, and not against the other."""
    google.set(exhausted=[ZONE])
    with pytest.raises(errors.VMCreationFailed, match="ZONE_RESOURCE_POOL_EXHAUSTED") as caught:
        helper.vm()
    assert caught.value.ok_to_retry
    google.set(exhausted=[], quotas={"CPUS": 1})
    with pytest.raises(errors.VMCreationFailed, match=r"Quota 'CPUS' exceeded.*raise the quota") as caught:
        helper.vm(machine_type="n1-standard-2", machine_types=["n1-standard-4"])
    assert not caught.value.ok_to_retry
    assert google.census()["instances"] == google.census()["disks"] == 0


def test_a_token_finds_its_vm_in_another_zone(google: Lab, helper: Helper) -> None:
    """The first zone had no room then, and has now."""
    google.set(exhausted=["europe-west1-c"])
    properties: dict[str, Any] = {"zones": ["europe-west1-c", "europe-west1-d"], "zone": None}
    networks = helper.manual()
    first = helper.vm(networks=networks, token="a token", **properties)  # noqa: S106 - not secret
    google.set(exhausted=[])
    assert helper.vm(networks=networks, token="a token", **properties) == first  # noqa: S106 - not secret
    assert google.see("instances", first.cid)["zone"].endswith("europe-west1-d")


def test_disks_decide_the_zone(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """A contradiction is explained before anything is made."""
    near = (helper.disk(zone="europe-west1-d"),)
    assert _made(google, helper, disk_cids=near, zone=None)["zone"].endswith("europe-west1-d")
    with pytest.raises(errors.CpiError, match=r"no zone suits the VM.*(?s:.*)europe-west1-d"):
        helper.vm(disk_cids=near)
    with pytest.raises(errors.CpiError, match="no zone suits the VM"):
        helper.vm(disk_cids=(*near, helper.disk()), zone=None)


def test_backend_services_are_joined_by_the_group_in_the_vms_zone(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """A regional one by its scheme. Without a group in the zone nothing is left."""
    group = f"projects/a-project/zones/{ZONE}/instanceGroups/a-group"
    google.control("add", path=group, item={"_members": []})
    service = {"backends": [{"group": _ROOT + group}]}
    google.control("add", path=f"{_REGION}/backendServices/inside", item=service)
    vm = helper.vm(backend_service={"name": "inside", "scheme": "INTERNAL"})
    assert google.see("instanceGroups")["_members"] == [f"projects/a-project/zones/{ZONE}/instances/{vm.cid}"]
    cloud.delete_vm(vm.cid)
    assert google.see("instanceGroups")["_members"] == []
    before = google.census()
    with pytest.raises(errors.VMCreationFailed, match="no instance group in europe-west1-c"):
        helper.vm(zone="europe-west1-c", backend_service={"name": "inside", "scheme": "INTERNAL"})
    assert google.census() == before


def test_a_backend_service_is_found_by_its_name_whether_regional_or_global(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """Two of one name are refused unless the scheme says which."""
    paths = [f"projects/a-project/zones/{ZONE}/instanceGroups/{name}" for name in ("inside", "outside")]
    for path in paths:
        google.control("add", path=path, item={"_members": []})
    regional = {"backends": [{"group": _ROOT + paths[0]}], "loadBalancingScheme": "INTERNAL_MANAGED"}
    google.control("add", path=f"{_REGION}/backendServices/one", item=regional)
    vm = helper.vm(backend_service="one")
    member = f"projects/a-project/zones/{ZONE}/instances/{vm.cid}"
    assert google.see("instanceGroups", "inside")["_members"] == [member]
    cloud.delete_vm(vm.cid)
    assert google.see("instanceGroups", "inside")["_members"] == []
    outside = {"backends": [{"group": _ROOT + paths[1]}], "loadBalancingScheme": "EXTERNAL"}
    google.control("add", path="projects/a-project/global/backendServices/one", item=outside)
    with pytest.raises(errors.CloudError, match=r"say which by backend_service\.scheme"):
        helper.vm(backend_service={"name": "one"})
    helper.vm(backend_service={"name": "one", "scheme": "EXTERNAL"})
    assert len(google.see("instanceGroups", "outside")["_members"]) == 1


def test_trusted_launch_confidential_vms_and_reservations_are_asked_for(google: Lab, helper: Helper) -> None:
    """In the API's own form; a confidential VM is not migrated. What is left out is left to Google."""
    helper.vm(shielded_vm={"secure_boot": True, "vtpm": "false"}, confidential_vm="SEV_SNP", reservation="mine")
    asked = next(json.loads(call.request.body) for call in google.proxy.calls if call.action == "POST instances")
    assert asked["shieldedInstanceConfig"] == {"enableSecureBoot": True, "enableVtpm": False}
    assert asked["confidentialInstanceConfig"] == {"enableConfidentialCompute": True, "confidentialInstanceType": "SEV_SNP"}
    assert asked["scheduling"]["onHostMaintenance"] == "TERMINATE"
    assert asked["reservationAffinity"] == {
        "consumeReservationType": "SPECIFIC_RESERVATION",
        "key": "compute.googleapis.com/reservation-name",
        "values": ["mine"],
    }
    google.proxy.forget_calls()
    helper.vm()
    asked = next(json.loads(call.request.body) for call in google.proxy.calls if call.action == "POST instances")
    assert not {"shieldedInstanceConfig", "confidentialInstanceConfig", "reservationAffinity"} & set(asked)


def test_an_operation_that_is_not_known_yet_is_asked_for_again(google: Lab, helper: Helper) -> None:
    """Google's wait answers 404 for one that has just begun."""
    body = b'{"error": {"code": 404, "message": "The resource was not found", "errors": [{"reason": "notFound"}]}}'
    unknown = effects.answer(404, body, {"Content-Type": "application/json"})
    google.proxy.inject(Rule("POST operations/{name}/wait", unknown, times=2))
    assert helper.vm().cid
    assert google.proxy.counts()["POST operations/{name}/wait"] > 2


def test_a_vm_of_the_official_cpi_leaves_its_target_pool(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """It keeps no record of it: the pools are looked through."""
    google.control("populate", vms=1, zone=ZONE)
    member = f"{_ROOT}projects/a-project/zones/{ZONE}/instances/vm-of-the-fleet-0"
    google.control("add", path=f"{_REGION}/targetPools/a-pool", item={"instances": [member]})
    cloud.delete_vm(VmCid(member.rpartition("/")[2]))
    assert google.see("targetPools")["instances"] == []


@pytest.mark.parametrize(
    ("properties", "fault"),
    [
        ({"machine_type": None}, "machine_type: is missing"),
        ({"cpu": 2, "ram": 4096}, "excludes cpu and ram"),
        ({"zone": None}, "zone: is missing"),
        ({"provisioning_model": "CHEAP"}, "provisioning_model"),
        ({"machine_type": "e2-medium", "ephemeral_disk_type": "local-ssd"}, "e2-medium has no local SSD; name one of another"),
        (
            {"machine_types": ["c3-standard-8"], "ephemeral_disk_type": "local-ssd"},
            "name one that ends with -lssd: c3-standard-8-",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_any_call(google: Lab, helper: Helper, properties: dict[str, Any], fault: str) -> None:
    """It names the property."""
    with pytest.raises(errors.CpiError, match=fault):
        helper.vm(**properties)
    assert google.proxy.counts() == {}


def test_what_the_director_says_of_a_vm_has_the_official_names(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """Labels with dashes, and the same in the metadata for the guest; other tags are labels alone, and settings are kept."""
    vm = helper.vm(env={"bosh": {"tags": {"cost_center": "a_1"}}}, labels={"own_label": "x"})
    said = {
        "instance_group": "db_z1",
        "index": 0,
        "created_at": "2026-01-01T00:00:00Z",
        "cost_center": "a_2",
        "startup-script": "x",
    }
    cloud.set_vm_metadata(vm.cid, said)
    labels = google.labels(vm.cid)
    found = {key: labels.get(key) for key in ("instance-group", "index", "cost-center", "own_label", "startup-script")}
    assert found == {"instance-group": "db_z1", "index": "0", "cost-center": "a_2", "own_label": "x", "startup-script": "x"}
    assert not {"instance_group", "cost_center"} & labels.keys()
    items = {one["key"]: one["value"] for one in google.see("instances", vm.cid)["metadata"]["items"]}
    assert (items["instance_group"], items["index"], items["created_at"]) == ("db_z1", "0", "2026-01-01T00:00:00Z")
    assert not {"startup-script", "cost_center"} & items.keys()
    assert helper.settings(vm.cid)["agent_id"] == "agent"
