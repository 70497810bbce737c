"""The number of API calls does not grow with the fleet."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

import cpi
from cpi.contract.units import MiB
from fixtures.clouds.aws.lab import ZONES, Lab, lab
from tests.drivers.aws.conftest import Helper

_FLEET = 2000
_GIB = MiB(1024)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Lab]:
    """A region with 2,000 VMs."""
    with lab(_FLEET) as crowded:
        crowded.proxy.withdraw_all()
        assert len(crowded.ec2.describe_instance_status()["InstanceStatuses"]) == _FLEET
        yield crowded


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_with_2000_vms_every_method_makes_the_same_calls(fleet: Lab, tmp_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an empty region."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with cpi.connect(fleet.config()) as cloud:
        helper = Helper(fleet, cloud)

        def calls(action: Callable[[], object]) -> Counter[str]:
            fleet.proxy.forget_calls()
            action()
            return fleet.proxy.counts()

        assert calls(lambda: helper.vm(availability_zone=ZONES[0])) == {
            "DescribeImages": 1,
            "DescribeSubnets": 1,
            "RunInstances": 1,
            "DescribeInstances": 1,
        }
        vm_cid, disk_cid = helper.vm().cid, cloud.create_disk(_GIB, {"availability_zone": ZONES[0]})
        assert calls(lambda: cloud.has_vm(vm_cid)) == {"DescribeInstances": 1}
        assert calls(lambda: cloud.has_disk(disk_cid)) == {"DescribeVolumes": 1}
        assert calls(lambda: cloud.create_disk(_GIB, {}, vm_cid)) == {"DescribeInstances": 1, "CreateVolume": 1}
        assert calls(lambda: cloud.attach_disk(vm_cid, disk_cid)) == {
            "DescribeInstances": 1,
            "AttachVolume": 1,
            "DescribeVolumes": 1,
        }
        assert calls(lambda: cloud.snapshot_disk(disk_cid, {})) == {
            "DescribeVolumes": 1,
            "CreateSnapshot": 1,
            "DescribeSnapshots": 1,
        }
        assert calls(lambda: cloud.set_vm_metadata(vm_cid, {"job": "db"})) == {"DescribeInstances": 1, "CreateTags": 1}
        assert calls(lambda: cloud.detach_disk(vm_cid, disk_cid)) == {"DetachVolume": 1, "DescribeVolumes": 1}
        assert calls(lambda: cloud.delete_disk(disk_cid)) == {"DeleteVolume": 1, "DescribeVolumes": 1}
        assert calls(lambda: cloud.delete_vm(vm_cid)) == {"DescribeInstances": 2, "TerminateInstances": 1}
