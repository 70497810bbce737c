"""Exactly the k-th API call fails, for every k: nothing is left behind, the error is honest, and the same token serves again."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.model import Network, Networks
from cpi.contract.units import MiB
from fixtures.clouds.aws.answers import json_refusal, refusal
from fixtures.clouds.aws.images import bootable_image
from fixtures.clouds.aws.lab import ZONES, Lab
from fixtures.proxy import Answer, Request, Rule, effects
from fixtures.simulated_time import SimulatedTime
from tests.drivers.aws.conftest import Helper

pytestmark = pytest.mark.slow

_GIB = MiB(1024)
_MOST_CALLS = 40


def _failing(k: int) -> Rule:
    """The k-th call from now on is refused for good."""

    def refuse(request: Request) -> Answer:
        return json_refusal("ValidationException") if request.path.startswith("/snapshots") else refusal("InjectedFault")

    return Rule("*", effects.decided(refuse), skip=k, times=1)


def _each_call(aws: Lab, action: Callable[[], object], check: Callable[[int, errors.Error], None]) -> int:
    """Runs action with its first call failing, then its second, until it makes no more; how many there were."""
    for k in itertools.count():
        assert k < _MOST_CALLS, "it never ends"
        rule = _failing(k)
        aws.proxy.inject(rule)
        try:
            action()
        except errors.Error as error:
            aws.proxy.withdraw(rule)
            _was_injected(error)
            check(k, error)
        else:
            aws.proxy.withdraw(rule)
            if not rule.met:
                return k
    raise AssertionError


def _was_injected(error: errors.Error) -> None:
    assert "InjectedFault" in error.message or "ValidationException" in error.message, error.message


def _several_networks(helper: Helper) -> Networks:
    """Two interfaces, one of them with two networks."""
    first = helper.manual()["default"]
    second = Network(ip=helper.manual()["default"].ip, nic_group="b", cloud_properties={"subnet": helper.subnet})
    return {"first": first, "second": second}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("several", [False, True], ids=["one network", "several networks"])
def test_create_vm_leaves_nothing_whichever_call_fails(aws: Lab, helper: Helper, several: bool) -> None:  # noqa: FBT001 - pytest
    """VMs, disks, interfaces and routes are as before."""
    aws.elb.create_load_balancer(
        LoadBalancerName="lb",
        Listeners=[{"Protocol": "tcp", "LoadBalancerPort": 80, "InstancePort": 80}],
        AvailabilityZones=[ZONES[0]],
    )
    address = aws.ec2.allocate_address(Domain="vpc")["PublicIp"]
    table = aws.ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"]
    routes = aws.ec2.describe_route_tables()["RouteTables"][0]["Routes"]
    networks = {**(_several_networks(helper) if several else helper.manual()), "vip": Network(type="vip", ip=address)}
    properties = {
        "elbs": ["lb"],
        "source_dest_check": False,
        "advertised_routes": [
            {"table_id": table, "destination": "10.9.0.0/24"},
            {"table_id": table, "destination": "10.8.0.0/24"},
        ],
        "availability_zone": ZONES[0],
    }
    before = aws.census()
    made = []

    def check(k: int, error: errors.Error) -> None:
        assert aws.census() == before, f"the failing call number {k} left something: {error.message}"
        assert aws.ec2.describe_route_tables()["RouteTables"][0]["Routes"] == routes
        assert isinstance(error, errors.CloudError)
        assert not error.ok_to_retry, "a refusal for good is no reason to try again"

    calls = _each_call(aws, lambda: made.append(helper.vm(networks=networks, token="the token", **properties).cid), check)  # noqa: S106 - not secret
    assert calls >= (16 if several else 9)
    assert len(set(made)) == 1


def test_attach_disk_leaves_nothing_wrong_whichever_call_fails(aws: Lab, helper: Helper, cloud: Cloud) -> None:
    """A repeat answers the hint."""
    vm, disk_cid = helper.vm(), cloud.create_disk(_GIB, {"availability_zone": ZONES[0]})

    def check(k: int, error: errors.Error) -> None:
        assert cloud.attach_disk(vm.cid, disk_cid).to_wire().__str__().startswith("/dev/disk/by-id/")
        cloud.detach_disk(vm.cid, disk_cid)

    assert _each_call(aws, lambda: cloud.attach_disk(vm.cid, disk_cid), check) == 3


@pytest.mark.parametrize("properties", [{"type": "io1", "iops": 200}, {"encrypted": True}], ids=["in place", "by a copy"])
def test_update_disk_is_finished_by_a_repeat_whichever_call_fails(
    aws: Lab, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, properties: dict[str, object]
) -> None:
    """One disk remains, of the new kind, and nothing else."""
    SimulatedTime().rule(monkeypatch)
    before = aws.census()
    for k in range(_MOST_CALLS):
        disk_cid = cloud.create_disk(_GIB, {})
        rule = _failing(k)
        aws.proxy.inject(rule)
        try:
            updated = cloud.update_disk(disk_cid, MiB(2048), properties)
        except errors.Error as error:
            _was_injected(error)
            aws.proxy.withdraw(rule)
            updated = cloud.update_disk(disk_cid, MiB(2048), properties)
        aws.proxy.withdraw(rule)
        assert cloud.update_disk(disk_cid, MiB(2048), properties) == updated
        assert aws.ec2.describe_volumes(VolumeIds=[updated])["Volumes"][0]["Size"] == 2
        leftover = {str(updated), *([] if cloud.has_disk(disk_cid) is False else [str(disk_cid)])}
        assert {item["VolumeId"] for item in aws.volumes()} == leftover
        for cid in leftover:
            aws.ec2.delete_volume(VolumeId=cid)
        for item in aws.snapshots():
            aws.ec2.delete_snapshot(SnapshotId=item["SnapshotId"])
        assert aws.census() == before
        if not rule.met:
            break
    else:
        pytest.fail("it never ends")


def test_create_stemcell_leaves_nothing_whichever_call_fails(aws: Lab, cloud: Cloud, tmp_path: Path) -> None:
    """Snapshots and images are as before; a repeat succeeds."""
    image = bootable_image(tmp_path / "image")
    before = aws.census()

    def check(k: int, error: errors.Error) -> None:
        assert aws.census() == before, f"the failing call number {k} left something: {error.message}"
        cloud.delete_stemcell(cloud.create_stemcell(str(image), {"disk": 1024}, {}))

    calls = _each_call(aws, lambda: cloud.create_stemcell(str(image), {"disk": 1024}, {}), check)
    assert calls >= 8


def test_copying_a_light_stemcell_leaves_nothing_whichever_call_fails(aws: Lab, cloud: Cloud, tmp_path: Path) -> None:
    """The encrypted copy."""
    (tmp_path / "image").touch()
    ami = aws.make_ami()
    before = aws.census()

    def check(k: int, error: errors.Error) -> None:
        assert aws.census() == before, f"the failing call number {k} left something: {error.message}"

    properties = {"ami": {"eu-west-1": ami}, "encrypted": True}
    assert _each_call(aws, lambda: cloud.create_stemcell(str(tmp_path / "image"), properties, {}), check) >= 2


@pytest.mark.parametrize("action", ["RunInstances", "CreateVolume", "CreateNetworkInterface"])
def test_a_lost_answer_is_found_by_the_repeat_inside_the_call(aws: Lab, helper: Helper, cloud: Cloud, action: str) -> None:
    """It was made, the answer never came: the client token leads to it, and there is one of it."""
    before = aws.census()
    rule = Rule(action, effects.lost_answer(), times=1)
    aws.proxy.inject(rule)
    networks = _several_networks(helper)
    vm = helper.vm(networks=networks)
    cloud.create_disk(_GIB, {}, vm.cid)
    assert rule.met == 1
    after = aws.census()
    assert after == {**before, "VMs": before["VMs"] + 1, "disks": before["disks"] + 3, "interfaces": before["interfaces"] + 2}


def test_a_vm_whose_answer_was_lost_for_good_is_found_by_the_next_process(aws: Lab, helper: Helper) -> None:
    """The process was killed after RunInstances: the same token finds the VM, also if its arguments changed a little."""
    made = aws.ec2.run_instances(
        ImageId=helper.stemcell.split()[0],
        InstanceType="m5.large",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "multicpi-token", "Value": "the token"}]}],
    )["Instances"][0]["InstanceId"]
    assert helper.vm(token="the token").cid == made  # noqa: S106 - not secret


def test_a_disk_whose_process_was_killed_is_found_by_the_next(aws: Lab, cloud: Cloud) -> None:
    """The same token, another Cloud."""
    import cpi

    first = cloud.create_disk(_GIB, {}, token="the token")  # noqa: S106 - not secret
    with cpi.connect(aws.config()) as another:
        assert another.create_disk(_GIB, {}, token="the token") == first  # noqa: S106 - not secret
    assert len(aws.volumes()) == 1


def test_a_token_of_a_deleted_vm_makes_another(helper: Helper, cloud: Cloud) -> None:
    """EC2 leads the client token to the dead one."""
    first = helper.vm(token="the token")  # noqa: S106 - not secret
    cloud.delete_vm(first.cid)
    second = helper.vm(token="the token")  # noqa: S106 - not secret
    assert second.cid != first.cid
    assert cloud.has_vm(second.cid)


def test_a_snapshot_whose_answer_was_lost_is_made_once(aws: Lab, cloud: Cloud) -> None:
    """CreateSnapshot knows no client token: its tag is looked for."""
    disk_cid = cloud.create_disk(_GIB, {})
    aws.proxy.inject(Rule("CreateSnapshot", effects.lost_answer(), times=1))
    snapshot_cid = cloud.snapshot_disk(disk_cid, {"index": 1})
    assert [item["SnapshotId"] for item in aws.snapshots()] == [snapshot_cid]


def test_a_snapshot_that_was_throttled_before_its_answer_was_lost_is_made_once(aws: Lab, cloud: Cloud) -> None:
    """The repeat that throttling allows does not allow another after a lost answer."""
    disk_cid = cloud.create_disk(_GIB, {})
    throttled = effects.decided(lambda _: refusal("RequestLimitExceeded", "slower", 503))
    aws.proxy.inject(Rule("CreateSnapshot", effects.lost_answer(), skip=1, times=1))
    aws.proxy.inject(Rule("CreateSnapshot", throttled, times=1))
    snapshot_cid = cloud.snapshot_disk(disk_cid, {"index": 1})
    assert [item["SnapshotId"] for item in aws.snapshots()] == [snapshot_cid]


@pytest.mark.parametrize("action", ["RunInstances", "CreateVolume"])
def test_a_process_that_is_ended_between_a_call_and_its_answer_leaves_nothing(
    aws: Lab, helper: Helper, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """SIGTERM comes when AWS has done it and we do not know its id: the tag leads to it."""
    from cpi_drivers.aws.api.client import Client

    before = aws.census()
    attempt = Client._attempt

    def ended(self: Client, operation: str, parameters: dict[str, object]) -> object:
        answer = attempt(self, operation, parameters)
        if operation == action:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(Client, "_attempt", ended)
    with pytest.raises(KeyboardInterrupt):
        helper.vm() if action == "RunInstances" else cloud.create_disk(_GIB, {})
    assert aws.census() == before
