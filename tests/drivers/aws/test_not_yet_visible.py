"""EC2 copies its records about: whatever call names a thing for the first time, it may be told once that there is none.

One life of everything that the driver makes goes by, each method in a Cloud of its own, as each CPI call is a process of its own.
The first time that an action names a thing of a kind, it is refused: "not found" in one round, "wrong state" in the other.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, DiskCid, StemcellCid, VmCid
from cpi.contract.model import Network, NetworkDefinition
from cpi.contract.units import MiB
from cpi_drivers.aws.api.operations import OPERATIONS
from fixtures.clouds.aws.answers import json_refusal, refusal
from fixtures.clouds.aws.images import bootable_image
from fixtures.clouds.aws.lab import ZONES, Lab
from fixtures.proxy import Answer, Forward, Request, Rule, effects
from fixtures.simulated_time import SimulatedTime
from tests.drivers.aws.conftest import Helper

pytestmark = pytest.mark.slow

_ID: Final = re.compile(r"\b(i|vol|snap|ami|eni|eipalloc|subnet)-[0-9a-f]{8,}|arn:[^&/\s]*:(targetgroup)/[^&\s<]+")
_NOT_FOUND: Final = {
    "i": "InvalidInstanceID.NotFound",
    "vol": "InvalidVolume.NotFound",
    "snap": "InvalidSnapshot.NotFound",
    "ami": "InvalidAMIID.NotFound",
    "eni": "InvalidNetworkInterfaceID.NotFound",
    "eipalloc": "InvalidAllocationID.NotFound",
    "subnet": "InvalidSubnetID.NotFound",
    "targetgroup": "TargetGroupNotFound",
}
_OF_BALANCERS: Final = {"RegisterInstancesWithLoadBalancer": "InvalidInstance", "RegisterTargets": "InvalidTarget"}
_TELLING_NEWS: Final = frozenset({"DescribeAddresses", "DescribeInstances", "DescribeTargetGroups"})
_OF_SUBNETS: Final = frozenset({"AssociateRouteTable", "DeleteSubnet"})  # a subnet has no state that would be wrong for them
_COURTESIES: Final = ("DeregisterInstancesFromLoadBalancer", "DeregisterTargets")  # never repeated: a VM goes without them
# What names nothing that can be new: lists, the region, or what is made by the operator and is there for long.
_NAMES_NOTHING_NEW: Final = frozenset(
    {
        "CopyImage",
        "CreateNetworkInterface",
        "CreateSubnet",
        "DeleteRoute",
        *_COURTESIES,
        "DescribeAccountAttributes",
        "DescribeAddresses",
        "DescribeAvailabilityZones",
        "DescribeInstanceTypes",
        "DescribeRouteTables",
        "DescribeSecurityGroups",
        "DescribeTargetGroups",
        "DescribeVpcs",
        "GetCallerIdentity",
        "StartSnapshot",
    }
)


class Late:
    """An EC2 that does not know a thing the first time that an action names it."""

    def __init__(self, *, state: bool = False) -> None:
        self.state = state
        self.met: set[tuple[str, str]] = set()
        self._made: set[str] = set()

    async def __call__(self, request: Request, forward: Forward) -> Answer:
        """The answer."""
        if request.action.startswith((*_COURTESIES, *(["Describe"] if self.state else []))):
            return await forward(request)
        for kind, cid in self._named(request):
            if (request.action, kind) not in self.met and cid in self._made:
                self.met.add((request.action, kind))
                return self._refusal(request, kind, cid)
        answer = await forward(request)
        if not request.action.startswith("Describe") or request.action in _TELLING_NEWS:
            found = _ID.finditer(answer.body.decode())
            self._made |= {one[0] for one in found if one[1] != "subnet" or request.action == "CreateSubnet"}
        return answer

    def _named(self, request: Request) -> Iterator[tuple[str, str]]:
        texts = [value for key, value in request.form.items() if not key.startswith("Filter.") and len(value) < 200]
        for found in _ID.finditer(" ".join([request.path, *texts])):
            if not (self.state and found[1] == "subnet"):
                yield found[1] or found[2], found[0]

    def _refusal(self, request: Request, kind: str, cid: str) -> Answer:
        if request.path.startswith("/snapshots"):
            return json_refusal("ResourceNotFoundException", f"{cid} is not there", 404)
        if self.state:
            return refusal("IncorrectInstanceState" if kind == "i" else "IncorrectState", f"{cid} is not in a state for it")
        code = _OF_BALANCERS.get(request.action) if kind == "i" else None
        return refusal(code or _NOT_FOUND[kind], f"{cid} is not there")


class Life:
    """Everything that the driver makes, from its beginning to its end; each method in a process of its own."""

    def __init__(self, aws: Lab, tmp_path: Path) -> None:
        self.aws = aws
        self._image = bootable_image(tmp_path / "image")
        aws.elb.create_load_balancer(
            LoadBalancerName="lb",
            Listeners=[{"Protocol": "tcp", "LoadBalancerPort": 80, "InstancePort": 80}],
            AvailabilityZones=[ZONES[0]],
        )
        vpc = aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        aws.elbv2.create_target_group(Name="group", Protocol="HTTP", Port=80, VpcId=vpc)
        table = aws.ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"]
        self._ami = aws.make_ami()
        self._address = aws.ec2.allocate_address(Domain="vpc")["PublicIp"]
        self._subnet = aws.subnets()[ZONES[0]]
        self._free = aws.free_addresses(ZONES[0])
        gateway = aws.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        aws.ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.8.0.0/24", GatewayId=gateway)
        self._routes = [{"table_id": table, "destination": "10.9.0.0/24"}, {"table_id": table, "destination": "10.8.0.0/24"}]

    def call(self, method: str, *arguments: Any) -> Any:
        """One method by a process of its own."""
        with cpi.connect(self.aws.config()) as cloud:
            return getattr(cloud, method)(*arguments)

    def vm(self, stemcell: StemcellCid, *, several: bool = False, **properties: object) -> VmCid:
        networks = {name: self._network() for name in (("first", "second") if several else ("first",))}
        networks["vip"] = Network(type="vip", ip=self._address)
        wanted = {"instance_type": "m5.large", "availability_zone": ZONES[0], "source_dest_check": False, **properties}
        made: VmCid = self.call("create_vm", AgentId("agent"), stemcell, wanted, networks).cid
        return made

    def _network(self) -> Network:
        return Network(ip=next(self._free), cloud_properties={"subnet": self._subnet})

    def goes_by(self) -> None:
        """From a stemcell to nothing."""
        stemcell = self.call("create_stemcell", str(self._image), {"disk": 1024}, {})
        wired = {"elbs": ["lb"], "lb_target_groups": ["group"], "advertised_routes": self._routes}
        vm_cid = self.vm(stemcell, several=True, **wired)
        self._of_the_vm(vm_cid)
        disk_cid = self.call("create_disk", MiB(1024), {}, vm_cid)
        self._of_the_disk(vm_cid, disk_cid)
        self.call("delete_vm", vm_cid)
        self.call("delete_vm", self.vm(stemcell))
        self.call("delete_stemcell", stemcell)
        encrypted = {"ami": {"eu-west-1": self._ami}, "encrypted": True}
        self.call("delete_stemcell", self.call("create_stemcell", str(self._image), encrypted, {}))
        place = {"availability_zone": ZONES[0], "route_table": self._routes[0]["table_id"]}
        self.call("delete_network", self.call("create_network", NetworkDefinition(netmask_bits=26, cloud_properties=place)).cid)

    def _of_the_vm(self, vm_cid: VmCid) -> None:
        assert self.call("has_vm", vm_cid)
        self.call("set_vm_metadata", vm_cid, {"job": "j", "index": "0"})
        self.call("reboot_vm", vm_cid)
        assert self.call("get_disks", vm_cid) == []
        self.call("agent_settings", vm_cid)
        self.aws.ec2.stop_instances(InstanceIds=[vm_cid])
        self.call("reboot_vm", vm_cid)

    def _of_the_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        assert self.call("has_disk", disk_cid)
        self.call("set_disk_metadata", disk_cid, {"deployment": "d"})
        self.call("resize_disk", disk_cid, MiB(2048))
        disk_cid = self.call("update_disk", disk_cid, MiB(2048), {"encrypted": True})
        self.aws.ec2.create_tags(Resources=[disk_cid], Tags=[{"Key": "multicpi-replacement", "Value": "of a killed call"}])
        self.call("attach_disk", vm_cid, disk_cid)
        self.call("delete_snapshot", self.call("snapshot_disk", disk_cid, {}))
        self.call("detach_disk", vm_cid, disk_cid)
        self.call("delete_disk", disk_cid)


@pytest.fixture
def life(aws: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    """Nobody waits for real."""
    SimulatedTime().rule(monkeypatch)
    return Life(aws, tmp_path)


@pytest.mark.parametrize("state", [False, True], ids=["not found", "wrong state"])
def test_whatever_call_names_a_new_thing_may_be_told_once_that_there_is_none(aws: Lab, life: Life, state: bool) -> None:  # noqa: FBT001 - pytest
    """Nothing fails, nothing is left, and every action that can name something new was met. A look is refused for no state."""
    before = aws.census()
    late = Late(state=state)
    taken = effects.decided(lambda _: refusal("RouteAlreadyExists", "it does"))
    aws.proxy.inject(Rule("CreateRoute", taken, when=lambda asked: "10.8" in asked.form["DestinationCidrBlock"]))
    aws.proxy.inject(Rule("*", late))
    life.goes_by()
    assert aws.census() == before
    asked = {action for action in OPERATIONS if not (state and action.startswith("Describe"))}
    assert {action for action, _ in late.met} == asked - _NAMES_NOTHING_NEW - (_OF_SUBNETS if state else set())


def test_a_thing_that_stays_unknown_is_an_error_that_may_pass(aws: Lab, helper: Helper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything was removed: the director may try again."""
    SimulatedTime().rule(monkeypatch)
    before = aws.census()
    networks = {**helper.manual(), "second": helper.manual()["default"]}

    async def unknown(request: Request, forward: Forward) -> Answer:
        cid = request.form["NetworkInterface.1.NetworkInterfaceId"]
        return refusal("InvalidNetworkInterfaceID.NotFound", f"The networkInterface ID '{cid}' does not exist")

    aws.proxy.inject(Rule("RunInstances", unknown))
    with pytest.raises(errors.VMCreationFailed, match="does not exist") as caught:
        helper.vm(networks=networks)
    assert caught.value.ok_to_retry
    assert aws.census() == before
    assert 5 < aws.proxy.counts()["RunInstances"] < 60


def test_a_thing_that_is_not_new_is_missing_at_once(aws: Lab, helper: Helper, cloud: Cloud) -> None:
    """Nobody waits for what was named by mistake, nor for what was removed."""
    for look in (
        lambda: cloud.attach_disk(VmCid("i-0123456789abcdef0"), DiskCid("vol-0123456789abcdef0")),
        lambda: cloud.detach_disk(VmCid("i-0123456789abcdef0"), DiskCid("vol-0123456789abcdef0")),
        lambda: cloud.set_disk_metadata(DiskCid("vol-0123456789abcdef0"), {"a": "b"}),
    ):
        with pytest.raises(errors.CloudError):
            look()
    disk_cid = cloud.create_disk(MiB(1024), {})
    cloud.delete_disk(disk_cid)
    assert not cloud.has_disk(disk_cid)
    calls = aws.proxy.counts()
    assert calls["DescribeVolumes"] < 6
    assert max(calls.values()) < 6


def test_a_look_that_tells_of_nothing_is_repeated_as_well(aws: Lab, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older truth: an empty list."""
    SimulatedTime().rule(monkeypatch)
    disk_cid = cloud.create_disk(MiB(1024), {})

    async def nothing(request: Request, forward: Forward) -> Answer:
        body = b'<DescribeVolumesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><volumeSet/></DescribeVolumesResponse>'
        return Answer(200, body, {"Content-Type": "text/xml"})

    aws.proxy.inject(Rule("DescribeVolumes", nothing, times=2))
    with cpi.connect(aws.config()) as another:
        assert another.has_disk(disk_cid)
