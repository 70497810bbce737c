"""calculate_vm_cloud_properties: the smallest custom machine, in Google's steps and the right units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpi.contract import errors
from cpi.contract.model import VmResources
from cpi.contract.units import MiB
from drivers.google.machine_types import custom, smallest
from fixtures.clouds.google.machine_types import check_machine


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        ((1, 1024, 1024), {"cpu": 1, "ram": 1024, "root_disk_size_gb": 10}),
        ((2, 4096, 10240), {"cpu": 2, "ram": 4096, "root_disk_size_gb": 15}),
        ((3, 100, 10241), {"cpu": 4, "ram": 3840, "root_disk_size_gb": 16}),
        ((1, 8192, 1), {"cpu": 2, "ram": 8192, "root_disk_size_gb": 10}),
    ],
)
def test_sizes_are_rounded_up(wish: tuple[int, int, int], found: dict[str, int]) -> None:
    """CPUs to even numbers, memory to 256 MiB and to what a CPU takes, the disk to GiB beside the system's own."""
    cpu, ram, disk = wish
    assert smallest(VmResources(cpu=cpu, ram=MiB(ram), ephemeral_disk_size=MiB(disk))) == found


@given(cpu=st.integers(1, 96), ram=st.integers(1, 96 * 6656), disk=st.integers(0, 1 << 24))
def test_what_is_answered_is_a_machine_that_google_has(cpu: int, ram: int, disk: int) -> None:
    """And it is no smaller than what was asked for."""
    found = smallest(VmResources(cpu=cpu, ram=MiB(ram), ephemeral_disk_size=MiB(disk)))
    assert found["cpu"] >= cpu
    assert found["ram"] >= ram
    assert found["root_disk_size_gb"] * 1024 >= disk
    check_machine("projects/p/zones/z/instances/i", custom("n1", found["cpu"], found["ram"]))


def test_more_than_there_is_is_not_supported() -> None:
    """A larger series may have it."""
    with pytest.raises(errors.NotSupported, match="larger series"):
        smallest(VmResources(cpu=97, ram=MiB(1), ephemeral_disk_size=MiB(1)))
