"""With the rights that the official CPI documents, all that the official CPI does works; what is beyond is left out and told."""

import logging
from pathlib import Path
from typing import Any, Final

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.model import Network
from cpi.contract.units import MiB
from cpi_drivers.aws.api.operations import OPERATIONS
from cpi_drivers.aws.doctor.policy import CALLS_BY_FEATURE
from fixtures.clouds.aws.images import bootable_image
from fixtures.clouds.aws.lab import ZONES, Lab
from fixtures.clouds.aws.least import only_what_is_permitted
from fixtures.proxy import Rule
from tests.drivers.aws.conftest import Helper

pytestmark = pytest.mark.slow

# What the documentation of the official CPI asks for: no Deregister*, no DeleteRoute, no DeleteTags, no StartInstances, no ebs.
_OFFICIAL: Final[dict[str, Any]] = {
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "ec2:AssociateAddress",
                "ec2:AttachVolume",
                "ec2:CopyImage",
                "ec2:CreateNetworkInterface",
                "ec2:CreateRoute",
                "ec2:CreateSnapshot",
                "ec2:CreateTags",
                "ec2:CreateVolume",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteSnapshot",
                "ec2:DeleteVolume",
                "ec2:DeregisterImage",
                "ec2:Describe*",
                "ec2:DetachVolume",
                "ec2:ModifyInstanceAttribute",
                "ec2:ModifyNetworkInterfaceAttribute",
                "ec2:ModifyVolume",
                "ec2:RebootInstances",
                "ec2:RegisterImage",
                "ec2:ReplaceRoute",
                "ec2:RunInstances",
                "ec2:TerminateInstances",
                "elasticloadbalancing:Describe*",
                "elasticloadbalancing:RegisterInstancesWithLoadBalancer",
                "elasticloadbalancing:RegisterTargets",
                "iam:PassRole",
            ],
        }
    ]
}


@pytest.fixture
def official(aws: Lab, helper: Helper) -> Lab:
    """An account whose operator followed that documentation."""
    aws.proxy.inject(Rule("*", only_what_is_permitted(_OFFICIAL)))
    return aws


def test_a_vm_with_everything_lives_and_dies(
    official: Lab, helper: Helper, cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    """Leaving the balancers is a courtesy: refused, it is told and the VM goes."""
    listener = {"Protocol": "tcp", "LoadBalancerPort": 80, "InstancePort": 80}
    official.elb.create_load_balancer(LoadBalancerName="lb", Listeners=[listener], AvailabilityZones=[ZONES[0]])
    vpc = official.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    official.elbv2.create_target_group(Name="group", Protocol="HTTP", Port=80, VpcId=vpc)
    table = official.ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"]
    address = official.ec2.allocate_address(Domain="vpc")["PublicIp"]
    official.iam.create_instance_profile(InstanceProfileName="profile")
    official.ec2.create_security_group(GroupName="bosh", Description="bosh")
    before = official.census()
    networks = {**helper.manual(), "second": helper.manual()["default"], "vip": Network(type="vip", ip=address)}
    vm = helper.vm(
        networks=networks,
        elbs=["lb"],
        lb_target_groups=["group"],
        advertised_routes=[{"table_id": table, "destination": "10.9.0.0/24"}],
        source_dest_check=False,
        iam_instance_profile="profile",
        security_groups=["bosh"],
    )
    cloud.set_vm_metadata(vm.cid, {"job": "j", "index": "0"})
    cloud.reboot_vm(vm.cid)
    assert cloud.has_vm(vm.cid)
    with caplog.at_level(logging.WARNING):
        cloud.delete_vm(vm.cid)
    assert "load balancer lb" in caplog.text
    assert "target group group" in caplog.text
    assert official.census() == before


def test_a_disk_lives_and_dies(official: Lab, helper: Helper, cloud: Cloud) -> None:
    """Created, attached, tagged, grown, snapshotted, detached, deleted."""
    vm = helper.vm()
    before = official.census()
    disk_cid = cloud.create_disk(MiB(1024), {}, vm.cid)
    cloud.attach_disk(vm.cid, disk_cid)
    cloud.set_disk_metadata(disk_cid, {"deployment": "d"})
    assert cloud.get_disks(vm.cid) == [disk_cid]
    snapshot_cid = cloud.snapshot_disk(disk_cid, {"index": 0})
    cloud.detach_disk(vm.cid, disk_cid)
    cloud.resize_disk(disk_cid, MiB(2048))
    cloud.delete_snapshot(snapshot_cid)
    cloud.delete_disk(disk_cid)
    assert official.census() == before


def test_light_stemcells_come_and_go(official: Lab, cloud: Cloud, tmp_path: Path) -> None:
    """Encrypted ones too."""
    image = tmp_path / "image"
    image.touch()
    ami = official.make_ami()
    before = official.census()
    for encrypted in (False, True):
        stemcell = cloud.create_stemcell(str(image), {"ami": {"eu-west-1": ami}, "encrypted": encrypted}, {})
        cloud.delete_stemcell(stemcell)
    assert official.census() == before


def test_every_call_has_a_feature_in_the_table_of_permissions() -> None:
    """The page says what each permission buys."""
    told = {call for calls in CALLS_BY_FEATURE.values() for call in calls}
    assert told == set(OPERATIONS)


def _made(aws: Lab) -> set[str]:
    made = set(aws.proxy.counts())
    aws.proxy.forget_calls()
    return made


def _of(*features: str) -> set[str]:
    return {call for feature in features for call in CALLS_BY_FEATURE[feature]}


def test_recorded_calls_are_those_of_the_table(aws: Lab, helper: Helper, cloud: Cloud, tmp_path: Path) -> None:
    """Feature by feature: no call that the table does not name there."""
    vm = helper.vm()
    cloud.set_vm_metadata(vm.cid, {"job": "j"})
    cloud.reboot_vm(vm.cid)
    assert _made(aws) <= _of("VMs")
    several = helper.vm(networks={**helper.manual(), "second": helper.manual()["default"]})
    cloud.delete_vm(several.cid)
    assert _made(aws) <= _of("VMs", "VMs with several networks")
    disk_cid = cloud.create_disk(MiB(1024), {}, vm.cid)
    cloud.attach_disk(vm.cid, disk_cid)
    cloud.set_disk_metadata(disk_cid, {"deployment": "d"})
    cloud.detach_disk(vm.cid, disk_cid)
    assert _made(aws) <= _of("disks")
    cloud.resize_disk(disk_cid, MiB(2048))
    assert _made(aws) <= _of("disks", "resize_disk, update_disk, disks grown attached")
    cloud.delete_snapshot(cloud.snapshot_disk(disk_cid, {}))
    assert _made(aws) <= _of("disks", "snapshots")
    cloud.delete_disk(cloud.update_disk(disk_cid, MiB(2048), {"encrypted": True}))
    assert _made(aws) <= _of("disks", "update_disk that encrypts")
    cloud.delete_stemcell(cloud.create_stemcell(str(bootable_image(tmp_path / "image")), {"disk": 1024}, {}))
    assert _made(aws) <= _of("heavy stemcells")


def test_a_heavy_stemcell_says_which_rights_it_takes(official: Lab, cloud: Cloud, tmp_path: Path) -> None:
    """The official CPI writes to a disk of its own VM instead."""
    with pytest.raises(errors.CloudError, match=r"allow ebs:StartSnapshot, ebs:PutSnapshotBlock and ebs:CompleteSnapshot"):
        cloud.create_stemcell(str(bootable_image(tmp_path / "image")), {"disk": 1024}, {})


def test_what_needs_more_says_what(official: Lab, helper: Helper, cloud: Cloud) -> None:
    """A VM that is off is started, which the official CPI never does."""
    vm = helper.vm()
    official.ec2.stop_instances(InstanceIds=[vm.cid])
    with pytest.raises(errors.CloudError, match=r"ec2:StartInstances.*cpi doctor"):
        cloud.reboot_vm(vm.cid)
