"""Machine types: the smallest custom one, in Google's steps and the right units; and how many local SSDs go with one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpi.contract import errors
from cpi.contract.model import VmResources
from cpi.contract.units import MiB
from cpi_drivers.google.vms.machine_types import custom, local_ssd_device, local_ssds, smallest
from fixtures.clouds.google.machine_types import check_local_ssds, check_machine


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
    largest = (65536 - 5) * 1024
    assert smallest(VmResources(cpu=1, ram=MiB(1), ephemeral_disk_size=MiB(largest)))["root_disk_size_gb"] == 65536
    with pytest.raises(errors.NotSupported, match="larger series"):
        smallest(VmResources(cpu=1, ram=MiB(1), ephemeral_disk_size=MiB(largest + 1)))


@given(
    series=st.sampled_from(["n1", "n2", "n2d", "c2", "c2d"]),
    cpus=st.sampled_from([1, 2, 4, 8, 16, 30, 32, 48, 56, 60, 64, 80, 96]),
)
def test_every_number_of_local_ssds_is_one_that_google_takes(series: str, cpus: int) -> None:
    """For machines of every size that a series has."""
    if cpus <= {"c2": 60}.get(series, 96):
        assert check_local_ssds(f"zones/z/machineTypes/{series}-standard-{cpus}", local_ssds(f"{series}-standard-{cpus}")) == 0


@pytest.mark.parametrize(
    ("machine_type", "count"),
    [
        ("custom-2-4096", 1),
        ("n2-custom-12-4096", 2),
        ("g2-standard-32", 1),
        ("g2-standard-48", 4),
        ("a2-highgpu-8g", 8),
        ("m3-ultramem-32", 4),
        ("something-new-8", 1),
        ("z3-highmem-88", 0),
        ("a3-highgpu-8g", 0),
        ("a2-ultragpu-1g", 0),
        ("c4-standard-8-lssd", 0),
    ],
)
def test_the_number_of_local_ssds_follows_the_series(machine_type: str, count: int) -> None:
    """None for one that brings them; one for a series that nobody knows, of which Google has the last word."""
    assert local_ssds(machine_type) == count


@pytest.mark.parametrize(
    "machine_type", ["e2-medium", "f1-micro", "t2d-standard-4", "n4-standard-8", "c3-standard-8", "c4d-standard-8"]
)
def test_a_series_without_local_ssds_is_told(machine_type: str) -> None:
    """Before any call."""
    with pytest.raises(errors.CpiError, match=f"{machine_type} has no local SSD"):
        local_ssds(machine_type)


@pytest.mark.parametrize(
    ("machine_type", "device"),
    [
        ("custom-2-4096", "/dev/nvme0n1"),
        ("n2-standard-8", "/dev/nvme0n1"),
        ("m3-ultramem-32", "/dev/disk/by-id/google-local-nvme-ssd-0"),
        ("z3-highmem-88", "/dev/disk/by-id/google-local-nvme-ssd-0"),
    ],
)
def test_the_first_local_ssd_is_found_by_identity_where_all_disks_are_on_nvme(machine_type: str, device: str) -> None:
    """A number would be that of any of them."""
    assert local_ssd_device(machine_type) == device
