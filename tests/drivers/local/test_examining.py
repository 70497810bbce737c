"""What `cpi doctor` tells of a local cloud."""

from typing import Any

import pytest

from cpi.contract.operator import Examines, Finding
from cpi_drivers.local.host import loop_devices
from tests.drivers.local.place import Place


def _findings(place: Place, **block: Any) -> dict[str, Finding]:
    cloud = place.connect(**block)
    assert isinstance(cloud, Examines)
    return {finding.subject: finding for finding in cloud.examine()}


def test_a_good_cloud_has_no_faults_and_nothing_is_made(place: Place) -> None:
    """Before anything is in it, and after."""
    assert all(finding.verdict == "good" for finding in _findings(place).values())
    assert not place.root.exists()
    place.disk()
    assert all(finding.verdict == "good" for finding in _findings(place).values())


def test_an_open_root_folder_is_warned_of(place: Place) -> None:
    """With what to do."""
    place.disk()
    place.root.chmod(0o755)
    found = _findings(place)["root folder"]
    assert (found.verdict, f"chmod 700 {place.root}" in found.detail) == ("warning", True)


def test_a_root_that_is_no_folder_is_a_fault(place: Place) -> None:
    """Nothing could be made there."""
    place.root.write_text("")
    assert _findings(place)["root folder"].verdict == "fault"


def test_loop_disks_that_cannot_be_had_are_a_fault_if_they_are_asked_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a warning if folders take their place."""
    monkeypatch.setattr(loop_devices, "_may_mount", lambda: False)
    assert _findings(place, disk_backing="loop")["disks"].verdict == "fault"
    assert _findings(place, disk_backing="auto")["disks"].verdict == "warning"
    assert _findings(place, disk_backing="folder")["disks"].verdict == "good"


def test_an_agent_that_cannot_be_run_is_a_fault(place: Place) -> None:
    """Named."""
    found = _findings(place, agent={"command": ["/nowhere/agent"]})["agent"]
    assert (found.verdict, found.detail) == ("fault", "/nowhere/agent, the first of agent.command, cannot be run")


@pytest.mark.root
@pytest.mark.parametrize(
    ("why_not", "verdict", "told"),
    [
        ({}, "good", "ext4 grows while it is mounted, xfs too"),
        ({"ext4": "root lacks CAP_SYS_RESOURCE"}, "good", "an ext4, the default, does not: root lacks CAP_SYS_RESOURCE"),
        ({"xfs": "mkfs.xfs is not installed"}, "good", "xfs does not: mkfs.xfs is not installed"),
        ({"ext4": "x", "xfs": "y"}, "warning", "none grows while it is mounted: xfs: y; ext4: x"),
    ],
)
def test_it_says_which_disks_grow_in_use(
    place: Place, monkeypatch: pytest.MonkeyPatch, why_not: dict[str, str], verdict: str, told: str
) -> None:
    """On this machine."""
    monkeypatch.setattr(loop_devices, "why_no_growth", lambda filesystem: why_not.get(filesystem, ""))
    found = _findings(place, disk_backing="loop")["disks in use"]
    assert (found.verdict, told in found.detail) == (verdict, True), found
    assert "on record" in _findings(place, disk_backing="folder")["disks in use"].detail


def test_a_program_that_is_missing_is_why_a_filesystem_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named."""
    monkeypatch.setattr(loop_devices, "program_path", lambda: "")
    assert loop_devices.why_no_growth("ext4") == "resize2fs is not installed"
    assert loop_devices.why_no_growth("xfs") == "mkfs.xfs is not installed"
