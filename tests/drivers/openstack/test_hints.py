"""By which name a guest finds a disk."""

import pytest

from cpi.contract import errors
from cpi.contract.ids import DiskCid
from cpi_drivers.openstack.disks.hints import first_free_letter, hint

CID = DiskCid("c851871c-78f2-4455-9f14-71b1ccb049c5")


def test_a_disk_on_virtio_is_found_by_its_id() -> None:
    """The serial number is the first twenty characters: no reboot moves it."""
    assert hint(CID, "/dev/vdc").to_wire() == "/dev/disk/by-id/virtio-c851871c-78f2-4455-9"


@pytest.mark.parametrize("device", ["/dev/sdc", "/dev/xvdc", "/dev/hdc", "/dev/sdc1"])
def test_a_disk_elsewhere_is_found_by_its_letter(device: str) -> None:
    """In the official CPIs' form: the agent tries the other names of the letter."""
    assert hint(CID, device).to_wire() == "/dev/sdc"


@pytest.mark.parametrize(
    ("flavor", "config_drive", "taken", "device"),
    [
        ({"ephemeral": 0, "swap": 0}, None, [], "/dev/sdb"),
        ({"ephemeral": 10, "swap": 0}, None, [], "/dev/sdc"),
        ({"ephemeral": 10, "swap": 512}, "cdrom", [], "/dev/sdd"),
        ({"ephemeral": 10, "swap": 512}, "disk", [], "/dev/sde"),
        ({"ephemeral": 10, "swap": 0}, None, ["/dev/vdc", "/dev/sdd"], "/dev/sde"),
    ],
)
def test_letters_begin_after_the_flavours_own_disks(
    flavor: dict[str, int], config_drive: str | None, taken: list[str], device: str
) -> None:
    """As the official CPIs count."""
    assert first_free_letter({"id": "vm", "flavor": flavor}, [{"device": each} for each in taken], config_drive) == device


def test_a_vm_without_letters_left_is_told() -> None:
    """There are twenty-six."""
    taken = [{"device": f"/dev/sd{letter}"} for letter in "bcdefghijklmnopqrstuvwxyz"]
    with pytest.raises(errors.CloudError, match="no letter left"):
        first_free_letter({"id": "vm", "flavor": {}}, taken, None)
