"""What AWS refuses on a bad day: permanent and passing told apart, and a word on what to do that fits."""

import functools
import re

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.model import Network
from cpi.contract.units import MiB
from cpi_drivers.aws.api import errors as aws_errors
from fixtures.clouds.aws.answers import refusal
from fixtures.clouds.aws.lab import ZONES, Lab
from fixtures.proxy import Answer, Effect, Request, Rule, effects
from fixtures.simulated_time import SimulatedTime
from tests.drivers.aws.conftest import Helper

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("AttachmentLimitExceeded", "as its type takes"),
        ("Unsupported", "the zone does not offer it"),
        ("PendingVerification", "still verifying"),
        ("Blocked", "ask AWS Support"),
        ("OptInRequired", "enable the region"),
        ("KMSKeyNotAccessibleFault", "kms:CreateGrant"),
        ("InvalidClientTokenId", "check the keys"),
        ("VcpuLimitExceeded", "Service Quotas"),
    ],
)
def test_each_code_has_the_advice_that_fits_it(code: str, said: str) -> None:
    """A word on quotas does not help a VM that is full."""
    assert said in aws_errors.refusal("AttachVolume", code, "no").message


def test_a_policy_of_the_organisation_is_told_as_such() -> None:
    """No right of the account cures it."""
    text = "User: x is not authorized to perform: ec2:RunInstances with an explicit deny in a service control policy"
    told = aws_errors.refusal("RunInstances", "UnauthorizedOperation", text)
    assert isinstance(told, aws_errors.Denied)
    assert "a policy of the organisation" in told.message
    assert "cpi doctor" not in told.message


def _ending(code: str) -> Effect:
    """VMs end while they start."""

    def change(_: Request, answer: Answer) -> Answer:
        reason = f"<stateReason><code>{code}</code><message>{code}: on launch</message></stateReason>".encode()
        body = re.sub(rb"(<instanceState>\s*<code>)\d+(</code>\s*<name>)[a-z-]+", rb"\g<1>48\g<2>terminated", answer.body)
        return Answer(answer.status, re.sub(rb"<stateReason>.*?</stateReason>|<stateReason */>", reason, body, flags=re.DOTALL))

    return effects.rewritten(change)


def test_a_key_that_cannot_be_used_is_named_and_nothing_is_tried_again(aws: Lab, helper: Helper) -> None:
    """EC2 says no more than Client.InternalError."""
    aws.proxy.inject(Rule("DescribeInstances", _ending("Client.InternalError")))
    with pytest.raises(errors.VMCreationFailed, match=r"KMS|kms:CreateGrant") as caught:
        helper.vm(ephemeral_disk={"encrypted": True, "kms_key_arn": "arn:aws:kms:eu-west-1:1:key/k"})
    assert "arn:aws:kms:eu-west-1:1:key/k" in caught.value.message
    assert not caught.value.ok_to_retry
    assert aws.proxy.counts()["RunInstances"] == 1


def _refused(code: str, _: Request) -> Answer:
    return refusal(code, "no")


def test_a_type_that_no_zone_offers_is_no_reason_to_try_again(aws: Lab, helper: Helper) -> None:
    """Missing capacity is."""
    for code, again in (("Unsupported", False), ("InsufficientInstanceCapacity", True)):
        rule = Rule("RunInstances", effects.decided(functools.partial(_refused, code)))
        aws.proxy.inject(rule)
        with pytest.raises(errors.VMCreationFailed) as caught:
            helper.vm()
        assert caught.value.ok_to_retry is again
        aws.proxy.withdraw(rule)


@pytest.mark.parametrize(
    "code", ["UnauthorizedOperation", "InvalidParameterValue", "OptInRequired", "MaxSpotInstanceCountExceeded"]
)
def test_whatever_keeps_a_spot_vm_from_being_made_leads_to_the_ordinary_one(aws: Lab, helper: Helper, code: str) -> None:
    """With the fallback on; the caller's key would serve that no better."""

    def no_spot(request: Request) -> Answer | None:
        return refusal(code, "no spot") if "InstanceMarketOptions.MarketType" in request.form else None

    aws.proxy.inject(Rule("RunInstances", effects.decided(no_spot)))
    assert helper.vm(spot_bid_price=0.25, spot_ondemand_fallback=True).cid
    with pytest.raises(errors.CloudError, match="no spot"):
        helper.vm(spot_bid_price=0.25)


def test_a_key_that_is_refused_ends_spot_and_fallback(aws: Lab, helper: Helper) -> None:
    """One call."""
    aws.proxy.inject(Rule("RunInstances", effects.decided(lambda _: refusal("AuthFailure", "no", 401))))
    with pytest.raises(errors.CloudError, match="check the keys"):
        helper.vm(spot_bid_price=0.25, spot_ondemand_fallback=True)
    assert aws.proxy.counts()["RunInstances"] == 1


def test_an_address_that_is_taken_is_told_with_its_holder_whatever_the_number_of_interfaces(
    aws: Lab, helper: Helper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after ten minutes."""
    clock = SimulatedTime()
    clock.rule(monkeypatch)
    networks = helper.manual()
    holder = helper.vm(networks=networks)
    began = clock.now()
    with pytest.raises(errors.CloudError, match=f"held by {holder.cid}, which lives"):
        helper.vm(networks={**networks, "second": helper.manual()["default"]})
    assert clock.now() - began < 30


def test_every_interface_has_the_security_groups_of_all_networks_in_the_order_of_the_manifest(aws: Lab, helper: Helper) -> None:
    """The vip's too; the vip goes to the interface of the network that its nic_group names."""
    groups = [aws.ec2.create_security_group(GroupName=name, Description=name)["GroupId"] for name in ("a", "b", "c")]
    address = aws.ec2.allocate_address(Domain="vpc")["PublicIp"]
    first, second = (helper.manual()["default"] for _ in range(2))
    networks = {
        "first": Network(ip=first.ip, cloud_properties={"subnet": helper.subnet, "security_groups": ["a"]}),
        "second": Network(
            ip=second.ip, default=("gateway", "dns"), cloud_properties={"subnet": helper.subnet, "security_groups": ["b"]}
        ),
        "vip": Network(type="vip", ip=address, nic_group="second", cloud_properties={"security_groups": ["c"]}),
    }
    vm = helper.vm(networks=networks)
    nics = sorted(aws.instance(vm.cid)["NetworkInterfaces"], key=lambda nic: nic["Attachment"]["DeviceIndex"])
    assert [nic["PrivateIpAddress"] for nic in nics] == [first.ip, second.ip]
    found = aws.ec2.describe_network_interfaces(NetworkInterfaceIds=[nic["NetworkInterfaceId"] for nic in nics])
    for nic in found["NetworkInterfaces"]:
        assert {group["GroupId"] for group in nic["Groups"]} == set(groups)
    assert aws.ec2.describe_addresses(PublicIps=[address])["Addresses"][0]["NetworkInterfaceId"] == nics[1]["NetworkInterfaceId"]


def test_groups_of_a_dynamic_network_are_those_of_the_default_network(aws: Lab, helper: Helper) -> None:
    """Another VPC has one of the same name."""
    other = aws.ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    wanted = aws.ec2.create_security_group(GroupName="same", Description="same")["GroupId"]
    aws.ec2.create_security_group(GroupName="same", Description="same", VpcId=other)
    helper.vm(networks={"default": Network(type="dynamic")}, security_groups=["same"])
    form = next(call.request.form for call in reversed(aws.proxy.calls) if call.action == "RunInstances")
    assert form["SecurityGroupId.1"] == wanted


def test_what_ebs_takes_for_no_disk_of_the_type_is_left_out(aws: Lab, helper: Helper, cloud: Cloud) -> None:
    """gp2 has no iops to choose, and EC2 refuses them."""
    helper.vm(root_disk={"type": "gp2", "iops": "4000"}, ephemeral_disk={"type": "gp3", "iops": "4000"})
    cloud.create_disk(MiB(1024), {"type": "gp2", "iops": 4000, "availability_zone": ZONES[0]})
    forms = [dict(call.request.form) for call in aws.proxy.calls if call.action in ("RunInstances", "CreateVolume")]
    assert [[key for key in form if key.endswith(("Iops", "Throughput"))] for form in forms] == [
        ["BlockDeviceMapping.2.Ebs.Iops"],
        [],
    ]


def test_a_tag_that_instance_metadata_do_not_take_is_told_before_anything_is_made(aws: Lab, helper: Helper) -> None:
    """EC2 would refuse the launch."""
    with pytest.raises(errors.CpiError, match="tags 'team/name'"):
        helper.vm(tags={"team/name": "x"}, metadata_options={"instance_metadata_tags": "enabled"})
    assert aws.proxy.counts() == {}
    assert helper.vm(tags={"team/name": "x"}).cid


def test_metadata_options_may_be_in_quotes_and_a_wrong_one_is_named(aws: Lab, helper: Helper) -> None:
    """Never with the SDK's own text."""
    helper.vm(metadata_options={"http_put_response_hop_limit": "2"})
    form = next(call.request.form for call in aws.proxy.calls if call.action == "RunInstances")
    assert form["MetadataOptions.HttpPutResponseHopLimit"] == "2"
    with pytest.raises(errors.CpiError, match=r"metadata_options\.http_put_response_hop_limit: Expected"):
        helper.vm(metadata_options={"http_put_response_hop_limit": "many"})


def test_an_image_whose_root_is_mapped_by_another_name_is_launched_by_the_mapped_one(aws: Lab, helper: Helper) -> None:
    """/dev/sda1 is told, /dev/sda is mapped: a mapping of /dev/sda1 would be a second disk."""
    from cpi_drivers.aws.api.facts import _root_device

    def image(told: str, *mapped: str) -> dict[str, object]:
        return {
            "RootDeviceName": told,
            "BlockDeviceMappings": [{"DeviceName": name, "Ebs": {"VolumeSize": 1}} for name in mapped],
        }

    assert _root_device(image("/dev/sda1", "/dev/sda", "/dev/sdb")) == "/dev/sda"
    assert _root_device(image("/dev/sda1", "/dev/sda1")) == "/dev/sda1"
    assert _root_device(image("/dev/xvda")) == "/dev/xvda"
