"""How many API calls each method makes: exact, so that a change that costs calls is seen. Polls are counted apart."""

from collections import Counter
from collections.abc import Callable

import pytest

from cpi.contract.cloud import Cloud
from cpi.contract.units import MiB
from fixtures.clouds.aws.lab import ZONES, Lab
from tests.drivers.aws.conftest import Helper

_GIB = MiB(1024)

Counted = Callable[[Callable[[], object]], Counter[str]]


@pytest.fixture
def counted(aws: Lab) -> Counted:
    """Counts the calls of what is done."""

    def count(action: Callable[[], object]) -> Counter[str]:
        aws.proxy.forget_calls()
        action()
        return aws.proxy.counts()

    return count


def test_has_vm_makes_1_call(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """The official CPI: 2."""
    vm = helper.vm()
    assert counted(lambda: cloud.has_vm(vm.cid)) == {"DescribeInstances": 1}


def test_has_disk_makes_1_call(cloud: Cloud, counted: Counted) -> None:
    """The official CPI: 1."""
    disk_cid = cloud.create_disk(_GIB, {})
    assert counted(lambda: cloud.has_disk(disk_cid)) == {"DescribeVolumes": 1}


def test_create_disk_makes_2_calls(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """The official CPI: 3. EC2's answer said that it was available: no poll."""
    vm = helper.vm()
    assert counted(lambda: cloud.create_disk(_GIB, {}, vm.cid)) == {"DescribeInstances": 1, "CreateVolume": 1}
    assert counted(lambda: cloud.create_disk(_GIB, {})) == {"DescribeAvailabilityZones": 1, "CreateVolume": 1}
    assert counted(lambda: cloud.create_disk(_GIB, {"availability_zone": ZONES[0]})) == {"CreateVolume": 1}


def test_create_disk_with_a_token_makes_2_calls_and_a_poll(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """A token's answer may be an old one, so it is looked whether the disk is there."""
    vm = helper.vm()
    calls = counted(lambda: cloud.create_disk(_GIB, {}, vm.cid, "token"))
    assert calls - Counter(DescribeVolumes=1) == {"DescribeInstances": 1, "CreateVolume": 1}


def test_attach_disk_makes_2_calls_and_a_poll(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """The official CPI: 4."""
    vm, disk_cid = helper.vm(), cloud.create_disk(_GIB, {"availability_zone": ZONES[0]})
    assert counted(lambda: cloud.attach_disk(vm.cid, disk_cid)) == {
        "DescribeInstances": 1,
        "AttachVolume": 1,
        "DescribeVolumes": 1,
    }


def test_detach_disk_makes_1_call_and_a_poll(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """The official CPI: 4."""
    vm, disk_cid = helper.vm(), cloud.create_disk(_GIB, {"availability_zone": ZONES[0]})
    cloud.attach_disk(vm.cid, disk_cid)
    assert counted(lambda: cloud.detach_disk(vm.cid, disk_cid)) == {"DetachVolume": 1, "DescribeVolumes": 1}


def test_snapshot_disk_makes_2_calls(cloud: Cloud, counted: Counted) -> None:
    """The official CPI: 3; and a poll."""
    disk_cid = cloud.create_disk(_GIB, {})
    calls = counted(lambda: cloud.snapshot_disk(disk_cid, {"deployment": "d", "job": "j", "index": 0}))
    assert calls - Counter(DescribeSnapshots=1) == {"DescribeVolumes": 1, "CreateSnapshot": 1}


def test_delete_disk_makes_1_call_and_a_poll(cloud: Cloud, counted: Counted) -> None:
    """The official CPI: 2."""
    disk_cid = cloud.create_disk(_GIB, {})
    assert counted(lambda: cloud.delete_disk(disk_cid)) == {"DeleteVolume": 1, "DescribeVolumes": 1}


def test_set_vm_metadata_makes_2_calls(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """The official CPI: 5."""
    vm = helper.vm()
    calls = counted(lambda: cloud.set_vm_metadata(vm.cid, {"job": "db", "index": "0", "name": "db/0"}))
    assert calls == {"DescribeInstances": 1, "CreateTags": 1}


def test_delete_vm_makes_2_calls_and_a_poll(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """The official CPI: 2, which leaves its load balancers alone."""
    vm = helper.vm()
    calls = counted(lambda: cloud.delete_vm(vm.cid))
    assert calls - Counter(DescribeInstances=1) == {"DescribeInstances": 1, "TerminateInstances": 1}


def test_create_vm_makes_2_calls_and_a_poll(helper: Helper, counted: Counted) -> None:
    """One manual network and a light stemcell. The official CPI: 12."""
    calls = counted(helper.vm)
    assert calls == {"DescribeImages": 1, "RunInstances": 1, "DescribeInstances": 1}


def test_create_vm_with_a_zone_and_a_token_makes_4_calls_and_a_poll(helper: Helper, counted: Counted) -> None:
    """The subnet's zone is looked up to explain a contradiction, and the token's VM is looked for."""
    calls = counted(lambda: helper.vm(availability_zone=ZONES[0], token="token"))  # noqa: S106 - not secret
    once = {"DescribeInstances": 1, "DescribeSubnets": 1, "DescribeImages": 1, "RunInstances": 1}
    assert calls - Counter(DescribeInstances=1) == once


def test_the_second_vm_of_a_process_makes_1_call_and_a_poll(helper: Helper, counted: Counted) -> None:
    """What does not change is remembered."""
    helper.vm()
    assert counted(helper.vm) == {"RunInstances": 1, "DescribeInstances": 1}


@pytest.mark.slow
def test_calculate_vm_cloud_properties_asks_once_and_remembers_on_disk(aws: Lab, cloud: Cloud, counted: Counted) -> None:
    """The next process finds it in the cache."""
    import cpi
    from cpi.contract.model import VmResources

    wish = VmResources(cpu=2, ram=MiB(4096), ephemeral_disk_size=_GIB)
    first = counted(lambda: cloud.calculate_vm_cloud_properties(wish))
    assert set(first) == {"DescribeInstanceTypes"}
    with cpi.connect(aws.config()) as another:
        assert counted(lambda: another.calculate_vm_cloud_properties(wish)) == {}
