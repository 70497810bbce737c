"""What RunInstances is asked for by the configuration, and what happens when EC2 does not give it at once."""

import re
from collections.abc import Callable
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId
from cpi.contract.units import MiB
from fixtures.clouds.aws.answers import refusal
from fixtures.clouds.aws.lab import ZONES, Lab
from fixtures.proxy import Answer, Effect, Request, Rule, effects
from tests.drivers.aws.conftest import Helper


def _asked(aws: Lab, action: str) -> dict[str, str]:
    return dict(next(call.request.form for call in reversed(aws.proxy.calls) if call.action == action))


def test_the_configurations_defaults_serve_where_a_vm_type_says_nothing(aws: Lab, helper: Helper) -> None:
    """Key pair, groups, profile, metadata options, encryption; and what a VM type says lies over them."""
    aws.iam.create_instance_profile(InstanceProfileName="profile")
    aws.ec2.create_key_pair(KeyName="bosh")
    group = aws.ec2.create_security_group(GroupName="bosh", Description="bosh")["GroupId"]
    defaults: dict[str, Any] = {
        "default_key_name": "bosh",
        "default_security_groups": ["bosh"],
        "default_iam_instance_profile": "profile",
        "metadata_options": {"http_tokens": "required", "http_endpoint": "enabled"},
        "encrypted": True,
        "kms_key_arn": "arn:key",
    }
    with cpi.connect(aws.config(**defaults)) as cloud:
        properties = {"instance_type": "m5.large", "metadata_options": {"http_tokens": "optional"}}
        cloud.create_vm(AgentId("agent"), helper.stemcell, properties, helper.manual())
        cloud.create_disk(MiB(1024), {"availability_zone": ZONES[0]})
    form = _asked(aws, "RunInstances")
    wanted = {
        "KeyName": "bosh",
        "NetworkInterface.1.SecurityGroupId.1": group,
        "IamInstanceProfile.Name": "profile",
        "MetadataOptions.HttpTokens": "optional",
        "MetadataOptions.HttpEndpoint": "enabled",
        "BlockDeviceMapping.1.Ebs.Encrypted": "true",
        "BlockDeviceMapping.1.Ebs.KmsKeyId": "arn:key",
        "BlockDeviceMapping.2.Ebs.Encrypted": "true",
    }
    assert {key: form.get(key) for key in wanted} == wanted
    disk = _asked(aws, "CreateVolume")
    assert (disk["Encrypted"], disk["KmsKeyId"]) == ("true", "arn:key")


def test_dedicated_hosts_and_capacity_reservations_are_asked_for(aws: Lab, helper: Helper) -> None:
    """As the VM type names them."""
    helper.vm(tenancy="host", host_id="h-0123456789abcdef0", capacity_reservation_id="cr-0123456789abcdef0")
    form = _asked(aws, "RunInstances")
    assert (form["Placement.Tenancy"], form["Placement.HostId"]) == ("host", "h-0123456789abcdef0")
    target = "CapacityReservationSpecification.CapacityReservationTarget"
    assert form[f"{target}.CapacityReservationId"] == "cr-0123456789abcdef0"
    helper.vm(host_resource_group_arn="arn:hosts", capacity_reservation_resource_group_arn="arn:reservations")
    form = _asked(aws, "RunInstances")
    assert form["Placement.HostResourceGroupArn"] == "arn:hosts"
    assert form[f"{target}.CapacityReservationResourceGroupArn"] == "arn:reservations"


def test_a_public_address_is_asked_for_and_refused_for_several_networks(aws: Lab, helper: Helper) -> None:
    """EC2 gives it to one interface that is made with its VM."""
    helper.vm(auto_assign_public_ip=True)
    assert _asked(aws, "RunInstances")["NetworkInterface.1.AssociatePublicIpAddress"] == "true"
    several = {"one": helper.manual()["default"], "two": helper.manual()["default"]}
    with pytest.raises(errors.CpiError, match="one network only; use a vip network"):
        helper.vm(networks=several, auto_assign_public_ip=True)


def test_without_an_ephemeral_disk_the_root_disk_is_larger(aws: Lab, helper: Helper) -> None:
    """By its size; moto's image has 15 GiB."""
    helper.vm(ephemeral_disk={"use_root_disk": True, "size": 5120})
    form = _asked(aws, "RunInstances")
    assert form["BlockDeviceMapping.1.Ebs.VolumeSize"] == "20"
    assert "BlockDeviceMapping.2.DeviceName" not in form


def test_a_vm_type_that_the_table_does_not_know_is_asked_for_if_that_is_allowed(aws: Lab, helper: Helper) -> None:
    """enable_describe_instance_types: false is a guess at NVMe, and no call."""
    aws.proxy.inject(Rule("RunInstances", effects.decided(lambda _: refusal("Enough"))))
    for allowed, calls in ((True, 1), (False, 0)):
        aws.proxy.forget_calls()
        with cpi.connect(aws.config(enable_describe_instance_types=allowed)) as cloud, pytest.raises(errors.VMCreationFailed):
            cloud.create_vm(AgentId("agent"), helper.stemcell, {"instance_type": "z99.large"}, helper.manual())
        assert aws.proxy.counts()["DescribeInstanceTypes"] == calls


def test_a_route_that_leads_elsewhere_is_led_here_and_back_if_the_vm_fails(aws: Lab, helper: Helper) -> None:
    """The operator's route is not lost."""
    table = aws.ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"]
    gateway = aws.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    aws.ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.9.0.0/24", GatewayId=gateway)
    routes = [{"table_id": table, "destination": "10.9.0.0/24"}, {"table_id": "rtb-00000000", "destination": "10.8.0.0/24"}]
    taken = Rule("CreateRoute", effects.decided(lambda _: refusal("RouteAlreadyExists", "it does")), times=1)
    aws.proxy.inject(taken)
    with pytest.raises(errors.CloudError, match="rtb-00000000"):
        helper.vm(advertised_routes=routes)
    assert _target(aws) == gateway
    aws.proxy.withdraw(taken)
    aws.proxy.inject(Rule("CreateRoute", effects.decided(lambda _: refusal("RouteAlreadyExists", "it does"))))
    vm = helper.vm(advertised_routes=routes[:1])
    assert _target(aws) == aws.instance(vm.cid)["NetworkInterfaces"][0]["NetworkInterfaceId"]


def _target(aws: Lab) -> str:
    routes = aws.ec2.describe_route_tables()["RouteTables"][0]["Routes"]
    (route,) = (route for route in routes if route.get("DestinationCidrBlock") == "10.9.0.0/24")
    target: str = route.get("NetworkInterfaceId") or route["GatewayId"]
    return target


def test_an_address_of_a_vm_on_its_way_out_is_waited_for(aws: Lab, helper: Helper) -> None:
    """Nothing living holds it."""
    busy = Rule("RunInstances", effects.decided(lambda _: refusal("InvalidIPAddress.InUse", "Address is in use.")), times=2)
    aws.proxy.inject(busy)
    vm = helper.vm()
    assert busy.met == 2
    assert aws.instance(vm.cid)["State"]["Name"] == "running"


@pytest.mark.parametrize(("times", "made"), [(2, 1), (3, 0)])
def test_a_vm_that_ec2_ends_by_a_fault_of_its_own_is_made_anew_twice(aws: Lab, helper: Helper, times: int, made: int) -> None:
    """The dead ones are removed; the third failure is told, and that a repeat may help."""

    def ended(_: Request, answer: Answer) -> Answer:
        reason = b"<stateReason><code>Server.InternalError</code><message>by us</message></stateReason>"
        body = answer.body.replace(b"<name>running</name>", b"<name>terminated</name>")
        return Answer(answer.status, re.sub(rb"<stateReason>.*?</stateReason>|<stateReason */>", reason, body, flags=re.DOTALL))

    aws.proxy.inject(Rule("DescribeInstances", _first_looks(ended, times)))
    if made:
        helper.vm()
    else:
        with pytest.raises(errors.VMCreationFailed, match=r"Server\.InternalError") as caught:
            helper.vm()
        assert caught.value.ok_to_retry
    assert len(aws.instances()) == made


def _first_looks(change: Callable[[Request, Answer], Answer], times: int) -> Effect:
    """The first look at each new VM is changed, the look at its removal is not."""
    known: set[str] = set()

    def once(request: Request, answer: Answer) -> Answer:
        cid = request.form.get("InstanceId.1", "")
        if cid in known or len(known) >= times:
            return answer
        known.add(cid)
        return change(request, answer)

    return effects.rewritten(once)


def test_a_vm_that_is_off_is_started_by_a_reboot(aws: Lab, helper: Helper, cloud: Cloud) -> None:
    """And one that runs is rebooted by EC2."""
    vm = helper.vm()
    aws.proxy.forget_calls()
    cloud.reboot_vm(vm.cid)
    aws.ec2.stop_instances(InstanceIds=[str(vm.cid)])
    cloud.reboot_vm(vm.cid)
    assert aws.instance(vm.cid)["State"]["Name"] == "running"
    assert aws.proxy.counts() == {"DescribeInstances": 2, "RebootInstances": 1, "StartInstances": 1}


@pytest.mark.parametrize("code", ["IncorrectState", "VolumeInUse"])
def test_a_disk_that_is_still_leaving_is_waited_for(aws: Lab, helper: Helper, cloud: Cloud, code: str) -> None:
    """attach_disk comes through once it is free."""
    vm, disk_cid = helper.vm(), cloud.create_disk(MiB(1024), {"availability_zone": ZONES[0]})
    rule = Rule("AttachVolume", effects.decided(lambda _: refusal(code, "not yet")), times=2)
    aws.proxy.inject(rule)
    cloud.attach_disk(vm.cid, disk_cid)
    assert rule.met == 2
    assert list(cloud.get_disks(vm.cid)) == [disk_cid]
