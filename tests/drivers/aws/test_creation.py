"""create_vm and delete_vm: every property arrives where it belongs, and contradictions are explained before anything is made."""

import base64
import contextlib
import json
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, DiskCid
from cpi.contract.model import Network
from cpi.contract.operator import ShowsAgentSettings
from cpi.contract.units import MiB
from fixtures.clouds.aws.answers import refusal
from fixtures.clouds.aws.lab import ZONES, Lab
from fixtures.proxy import Answer, Request, Rule, effects
from tests.drivers.aws.conftest import Helper

_GIB = MiB(1024)


@pytest.fixture
def asked(aws: Lab) -> list[Request]:
    """What RunInstances was asked."""
    requests: list[Request] = []

    def keep(request: Request) -> Answer | None:
        requests.append(request)
        return None

    aws.proxy.inject(Rule("RunInstances", effects.decided(keep)))
    return requests


def _settings(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(request.form["UserData"]))
    return found


def test_every_property_of_a_vm_type_is_asked_for(aws: Lab, helper: Helper, asked: list[Request]) -> None:
    """In RunInstances itself, in one call."""
    aws.iam.create_instance_profile(InstanceProfileName="profile")
    aws.ec2.create_key_pair(KeyName="key")
    group = aws.ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    helper.vm(
        key_name="key",
        iam_instance_profile="profile",
        placement_group="together",
        tenancy="dedicated",
        security_groups=["web"],
        metadata_options={"http_tokens": "required", "http_put_response_hop_limit": 2},
        root_disk={"size": 20480, "type": "gp3", "iops": 5000},
        ephemeral_disk={
            "size": 5000,
            "type": "gp3",
            "iops": 3000,
            "throughput": 250,
            "encrypted": True,
            "kms_key_arn": "arn:key",
        },
        tags={"team": "blue"},
    )
    form = asked[0].form
    wanted = {
        "KeyName": "key",
        "IamInstanceProfile.Name": "profile",
        "Placement.GroupName": "together",
        "Placement.Tenancy": "dedicated",
        "NetworkInterface.1.SecurityGroupId.1": group,
        "NetworkInterface.1.DeleteOnTermination": "true",
        "MetadataOptions.HttpTokens": "required",
        "MetadataOptions.HttpPutResponseHopLimit": "2",
        "BlockDeviceMapping.1.DeviceName": "/dev/sda1",
        "BlockDeviceMapping.1.Ebs.VolumeSize": "20",
        "BlockDeviceMapping.1.Ebs.VolumeType": "gp3",
        "BlockDeviceMapping.1.Ebs.Iops": "5000",
        "BlockDeviceMapping.2.DeviceName": "/dev/sdb",
        "BlockDeviceMapping.2.Ebs.VolumeSize": "5",
        "BlockDeviceMapping.2.Ebs.Throughput": "250",
        "BlockDeviceMapping.2.Ebs.Encrypted": "true",
        "BlockDeviceMapping.2.Ebs.KmsKeyId": "arn:key",
    }
    assert {key: form.get(key) for key in wanted} == wanted
    assert "BlockDeviceMapping.2.Ebs.Iops" not in form, "gp3's free baseline is not sent"


def test_vms_disks_and_interfaces_are_tagged_from_birth(aws: Lab, cloud: Cloud, helper: Helper, asked: list[Request]) -> None:
    """In the call that makes them: what a killed process leaves can be found."""
    from cpi.contract.model import CallContext

    context = CallContext(director_uuid="director-1", request_id="cpi-42")
    with cpi.connect(aws.config(), context) as known:
        known.create_vm(
            AgentId("a"),
            helper.stemcell,
            {"instance_type": "m5.large", "tags": {"team": "blue"}},
            helper.manual(),
            (),
            {},
            "the token",
        )
    form = asked[0].form
    kinds = [form[f"TagSpecification.{number}.ResourceType"] for number in (1, 2, 3)]
    assert kinds == ["instance", "volume", "network-interface"]
    for number in (1, 2, 3):
        prefix = f"TagSpecification.{number}.Tag"
        tags = {form[f"{prefix}.{index}.Key"]: form[f"{prefix}.{index}.Value"] for index in range(1, 6)}
        assert tags == {
            "team": "blue",
            "multicpi": "1",
            "multicpi-director": "director-1",
            "multicpi-request": "cpi-42",
            "multicpi-token": "the token",
        }


def test_one_network_is_made_with_the_vm_and_several_before_it(aws: Lab, helper: Helper, asked: list[Request]) -> None:
    """Of several interfaces the agent must know the MAC addresses."""
    helper.vm()
    assert "mac" not in _settings(asked[0])["networks"]["default"]
    networks = {"one": helper.manual()["default"], "two": helper.manual()["default"]}
    vm = helper.vm(networks=networks)
    told = _settings(asked[1])["networks"]
    nics = {nic["PrivateIpAddress"]: nic for nic in aws.instance(vm.cid)["NetworkInterfaces"]}
    assert {name: told[name]["mac"] for name in networks} == {
        name: nics[str(network.ip)]["MacAddress"] for name, network in networks.items()
    }
    assert aws.proxy.counts()["ModifyNetworkInterfaceAttribute"] == 2, "each is told to go with the VM"


def test_a_nic_group_is_one_interface_with_addresses_and_prefixes(aws: Lab, helper: Helper) -> None:
    """Dual stack, and a delegated prefix of each family."""
    asked: list[Request] = []

    def keep(request: Request) -> Answer | None:
        asked.append(request)
        return Answer(400, b"<Response><Errors><Error><Code>Enough</Code><Message>seen</Message></Error></Errors></Response>")

    aws.proxy.inject(Rule("CreateNetworkInterface", effects.decided(keep)))
    properties = {"subnet": helper.subnet}
    networks = {
        "v4": Network(ip="172.31.7.7", nic_group="g", cloud_properties=properties),
        "v6": Network(ip="2600:1f18::7", nic_group="g", cloud_properties=properties),
        "p4": Network(ip="172.31.8.16", prefix="28", nic_group="g", cloud_properties=properties),
        "p6": Network(ip="2600:1f18:0:0:1::", prefix="80", nic_group="g", cloud_properties=properties),
    }
    with pytest.raises(errors.CloudError, match="Enough"):
        helper.vm(networks=networks)
    form = asked[0].form
    assert len(asked) == 1
    assert form["PrivateIpAddress"] == "172.31.7.7"
    assert form["Ipv6Addresses.1.Ipv6Address"] == "2600:1f18::7"
    assert form["Ipv4Prefix.1.Ipv4Prefix"] == "172.31.8.16/28"
    assert form["Ipv6Prefix.1.Ipv6Prefix"] == "2600:1f18:0:0:1::/80"


@pytest.mark.parametrize(
    ("networks", "fault"),
    [
        ({"a": Network(ip="10.0.0.1")}, "a: a manual network needs cloud_properties.subnet"),
        ({"a": Network(ip="nonsense", cloud_properties={"subnet": "s"})}, "a: 'nonsense' is no IP address"),
        ({"a": Network(ip="10.0.0.0", prefix="24", cloud_properties={"subnet": "s"})}, "delegates IPv4 prefixes of /28"),
        (
            {"a": Network(ip="10.0.0.0", prefix="28", cloud_properties={"subnet": "s"})},
            "needs a network with an address of its own",
        ),
        ({"a": Network(type="vip", ip="1.2.3.4")}, "at least one manual or dynamic network"),
    ],
)
def test_networks_that_make_no_sense_are_explained_before_any_call(
    aws: Lab, helper: Helper, networks: dict[str, Network], fault: str
) -> None:
    """With the network's name."""
    with pytest.raises(errors.CpiError, match=fault):
        helper.vm(networks=networks)
    assert aws.proxy.counts() == {}


@pytest.mark.parametrize(
    ("properties", "fault"),
    [
        ({"instance_type": True}, "instance_type: Expected `str | null`, got `bool`"),
        ({"instance_type": None}, "instance_type: is missing"),
        ({"advertised_routes": [{"table_id": "rtb-1", "destination": "all"}]}, r"advertised_routes\[0\]: 'all' does not appear"),
        ({"advertised_routes": [{"table_id": "rtb-1"}]}, r"advertised_routes\[0\].destination: is missing"),
        ({"ephemeral_disk": {"use_instance_storage": True, "size": 1024}}, "excludes every other key"),
        ({"ephemeral_disk": {"use_instance_storage": True}, "raw_instance_storage": True}, "excludes raw_instance_storage"),
        ({"ephemeral_disk": {"use_instance_storage": True}}, "m5.large has no instance store"),
        ({"tenancy": "shared"}, "tenancy"),
        ({"ephemeral_disk": {"sise": 1}}, "ephemeral_disk.sise: unknown key; did you mean 'size'?"),
    ],
)
def test_properties_that_make_no_sense_are_explained_before_any_call(
    aws: Lab, helper: Helper, properties: dict[str, Any], fault: str
) -> None:
    """With the key; what is not known is refused where the configuration says strict_properties."""
    config = aws.config()
    config["cloud"]["properties"]["strict_properties"] = True
    wanted = {"instance_type": "m5.large", **properties}
    with cpi.connect(config) as strict, pytest.raises(errors.CpiError, match=fault):
        strict.create_vm(AgentId("agent"), helper.stemcell, wanted, helper.manual())
    assert aws.proxy.counts() == {}


def test_user_data_over_16_kib_are_refused_before_any_call(aws: Lab, helper: Helper, cloud: Cloud) -> None:
    """With what is largest in them."""
    env = {"bosh": {"authorized_keys": ["k" * 17000], "password": "not shown"}}
    with pytest.raises(
        errors.CpiError, match=r"user data is \d+ bytes and EC2 takes 16384.*env.bosh.authorized_keys 17\d+ bytes"
    ):
        cloud.create_vm(AgentId("a"), helper.stemcell, {"instance_type": "m5.large"}, helper.manual(), (), env)
    assert aws.proxy.counts() == {}


def test_a_contradiction_of_zones_is_explained_before_anything_is_made(aws: Lab, helper: Helper, cloud: Cloud) -> None:
    """Disk, subnet and property, each with its zone."""
    disk_cid = cloud.create_disk(_GIB, {"availability_zone": ZONES[1]})
    wish = {"instance_type": "m5.large", "availability_zone": ZONES[2]}
    with pytest.raises(errors.CpiError) as caught:
        cloud.create_vm(AgentId("a"), helper.stemcell, wish, helper.manual(), [disk_cid])
    assert f"disk {disk_cid} is in {ZONES[1]}" in caught.value.message
    assert f"subnet {helper.subnet} is in {ZONES[0]}" in caught.value.message
    assert f"properties name {ZONES[2]}" in caught.value.message
    assert "RunInstances" not in aws.proxy.counts()


def test_a_vm_is_made_in_the_zone_of_its_disks(aws: Lab, helper: Helper, cloud: Cloud) -> None:
    """Where nothing else is said."""
    disk_cid = cloud.create_disk(_GIB, {"availability_zone": ZONES[1]})
    networks = {"default": Network(type="dynamic")}
    vm = cloud.create_vm(AgentId("a"), helper.stemcell, {"instance_type": "m5.large"}, networks, [disk_cid])
    assert aws.instance(vm.cid)["Placement"]["AvailabilityZone"] == ZONES[1]
    assert vm.networks["default"].ip == aws.instance(vm.cid)["PrivateIpAddress"]


def test_balancers_addresses_and_routes_are_joined_and_balancers_left(aws: Lab, helper: Helper, cloud: Cloud) -> None:
    """Classic and new ones; the Elastic IP goes to the interface of its nic_group."""
    listener = [{"Protocol": "tcp", "LoadBalancerPort": 80, "InstancePort": 80}]
    aws.elb.create_load_balancer(LoadBalancerName="classic", Listeners=listener, AvailabilityZones=[ZONES[0]])
    vpc = aws.ec2.describe_subnets()["Subnets"][0]["VpcId"]
    arn = aws.elbv2.create_target_group(Name="targets", Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0]["TargetGroupArn"]
    address = aws.ec2.allocate_address(Domain="vpc")["PublicIp"]
    table = aws.ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"]
    vm = helper.vm(
        networks={**helper.manual(), "vip": Network(type="vip", ip=address)},
        elbs=["classic"],
        lb_target_groups=["targets"],
        source_dest_check=False,
        advertised_routes=[{"table_id": table, "destination": "10.9.0.0/24"}],
    )
    nic = aws.instance(vm.cid)["NetworkInterfaces"][0]

    def classic() -> list[str]:
        return [one["InstanceId"] for one in aws.elb.describe_load_balancers()["LoadBalancerDescriptions"][0]["Instances"]]

    def targets() -> list[str]:
        return [one["Target"]["Id"] for one in aws.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]]

    assert (classic(), targets()) == ([vm.cid], [vm.cid])
    assert aws.ec2.describe_addresses(PublicIps=[address])["Addresses"][0]["NetworkInterfaceId"] == nic["NetworkInterfaceId"]
    assert nic["SourceDestCheck"] is False
    routes = {route["DestinationCidrBlock"]: route for route in aws.ec2.describe_route_tables()["RouteTables"][0]["Routes"]}
    assert routes["10.9.0.0/24"]["NetworkInterfaceId"] == nic["NetworkInterfaceId"]
    cloud.delete_vm(vm.cid)
    assert (classic(), targets()) == ([], [])
    assert aws.proxy.counts()["DeregisterTargets"] == 1


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "ValidationError", "InternalFailure"])
def test_a_refusal_of_the_balancers_keeps_no_vm_alive(
    aws: Lab, helper: Helper, cloud: Cloud, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    """The official policy has no Deregister*: each balancer is logged, and the VM is terminated."""
    listener = [{"Protocol": "tcp", "LoadBalancerPort": 80, "InstancePort": 80}]
    aws.elb.create_load_balancer(LoadBalancerName="classic", Listeners=listener, AvailabilityZones=[ZONES[0]])
    vpc = aws.ec2.describe_subnets()["Subnets"][0]["VpcId"]
    aws.elbv2.create_target_group(Name="targets", Protocol="HTTP", Port=80, VpcId=vpc)
    vm = helper.vm(elbs=["classic"], lb_target_groups=["targets"])
    for action in ("DeregisterInstancesFromLoadBalancer", "DeregisterTargets"):
        aws.proxy.inject(Rule(action, effects.decided(lambda _: refusal(code))))
    caplog.clear()
    with cpi.connect(aws.config(max_retries=0)) as hasty:
        hasty.delete_vm(vm.cid)
    assert not cloud.has_vm(vm.cid)
    for what in ("load balancer classic", "target group targets"):
        [told] = [message for message in caplog.messages if f"without leaving the {what} first" in message]
        assert code in told


def test_delete_vm_keeps_persistent_disks_and_frees_the_address(aws: Lab, helper: Helper, cloud: Cloud) -> None:
    """At once: a new VM takes both."""
    networks = helper.manual()
    vm, disk_cid = helper.vm(networks=networks), cloud.create_disk(_GIB, {"availability_zone": ZONES[0]})
    cloud.attach_disk(vm.cid, disk_cid)
    cloud.delete_vm(vm.cid)
    assert [item["VolumeId"] for item in aws.volumes()] == [disk_cid]
    again = helper.vm(networks=networks)
    cloud.attach_disk(again.cid, disk_cid)
    assert list(cloud.get_disks(again.cid)) == [disk_cid]


def test_fast_path_delete_renames_and_does_not_wait(aws: Lab, helper: Helper) -> None:
    """As the official CPI."""
    vm = helper.vm()
    aws.proxy.forget_calls()
    with cpi.connect(aws.config(fast_path_delete=True)) as fast:
        fast.delete_vm(vm.cid)
    assert aws.proxy.counts() == {"DescribeInstances": 1, "TerminateInstances": 1, "CreateTags": 1}
    assert aws.tags(vm.cid)["Name"] == "to be deleted"


@pytest.mark.parametrize(
    ("vm_type", "properties", "ephemeral", "raw"),
    [
        ("m5.large", {}, "/dev/sdb", []),
        ("m5d.large", {}, "/dev/sdb", []),
        ("t2.medium", {}, "/dev/sdb", []),
        ("m5d.large", {"ephemeral_disk": {"use_instance_storage": True}}, "/dev/nvme1n1", []),
        ("m1.small", {"ephemeral_disk": {"use_instance_storage": True}}, "/dev/sdb", []),
        ("m5d.large", {"raw_instance_storage": True}, "/dev/sdb", ["/dev/nvme2n1"]),
        ("i3.8xlarge", {"raw_instance_storage": True}, "/dev/sdb", [f"/dev/nvme{n}n1" for n in range(4)]),
        ("m1.large", {"raw_instance_storage": True}, "/dev/sdb", ["/dev/xvdba", "/dev/xvdbb"]),
        ("m5.large", {"ephemeral_disk": {"use_root_disk": True}}, None, []),
    ],
)
def test_the_agent_is_told_where_its_disks_are(
    helper: Helper, asked: list[Request], vm_type: str, properties: dict[str, Any], ephemeral: str | None, raw: list[str]
) -> None:
    """Xen and Nitro, EBS and instance stores."""
    with contextlib.suppress(errors.CloudError):  # moto knows no instance stores in RunInstances
        helper.vm(instance_type=vm_type, **properties)
    disks = _settings(asked[0])["disks"]
    assert (disks["ephemeral"], [one["path"] for one in disks.get("raw_ephemeral", [])]) == (ephemeral, raw)


def test_the_agent_gets_the_whole_settings(helper: Helper, asked: list[Request], cloud: Cloud) -> None:
    """As the official CPI writes them: an agent does not see who made its VM."""
    networks = {
        "default": Network(ip=helper.manual()["default"].ip, dns=("10.0.0.2",), cloud_properties={"subnet": helper.subnet})
    }
    vm = cloud.create_vm(
        AgentId("agent-1"), helper.stemcell, {"instance_type": "m5.large"}, networks, (), {"bosh": {"group": "g"}}
    )
    settings = _settings(asked[0])
    assert settings["agent_id"] == "agent-1"
    assert settings["networks"]["default"]["use_dhcp"] is True
    assert settings["dns"] == {"nameserver": ["10.0.0.2"]}
    assert settings["disks"] == {"system": "/dev/sda1", "ephemeral": "/dev/sdb", "persistent": {}}
    assert settings["env"] == {"bosh": {"group": "g"}}
    assert settings["ntp"] == ["time.example"]
    assert isinstance(cloud, ShowsAgentSettings)
    assert dict(cloud.agent_settings(vm.cid)) == settings


def test_letters_of_disks_are_not_raced_for(aws: Lab, helper: Helper, cloud: Cloud) -> None:
    """Another process takes the letter between our look and our call: the next is taken."""
    vm = helper.vm(instance_type="t2.medium")
    first, second = (cloud.create_disk(_GIB, {"availability_zone": ZONES[0]}) for _ in range(2))
    letters = []

    def intrude(request: Request) -> Answer | None:
        letters.append(request.form["Device"])
        if len(letters) == 1:
            aws.ec2.attach_volume(VolumeId=str(first), InstanceId=str(vm.cid), Device="/dev/sdf")
        return None

    rule = Rule("AttachVolume", effects.decided(intrude))
    aws.proxy.withdraw_all()
    from fixtures.clouds.aws import truth

    aws.proxy.inject(*truth.rules(aws.ec2), rule)
    assert cloud.attach_disk(vm.cid, second).to_wire() == "/dev/sdg"
    assert letters == ["/dev/sdf", "/dev/sdg"]


def test_the_hint_on_nitro_names_the_disk(helper: Helper, cloud: Cloud) -> None:
    """Letters move, ids do not."""
    vm, disk_cid = helper.vm(), cloud.create_disk(_GIB, {"availability_zone": ZONES[0]})
    hint = cloud.attach_disk(vm.cid, disk_cid).to_wire()
    assert hint == f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{disk_cid.replace('-', '')}"


def test_an_address_that_a_living_vm_holds_is_told_at_once(helper: Helper) -> None:
    """Waiting would not help; the holder is named."""
    networks = helper.manual()
    holder = helper.vm(networks=networks)
    with pytest.raises(errors.VMCreationFailed, match=f"is held by {holder.cid}, which lives") as caught:
        helper.vm(networks=networks)
    assert not caught.value.ok_to_retry


def test_a_disk_of_another_zone_cannot_be_attached(helper: Helper, cloud: Cloud) -> None:
    """And nothing waits for it."""
    vm, disk_cid = helper.vm(), cloud.create_disk(_GIB, {"availability_zone": ZONES[1]})
    with pytest.raises(errors.CloudError, match="ZoneMismatch"):
        cloud.attach_disk(vm.cid, DiskCid(disk_cid))
