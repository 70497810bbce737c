"""What the local cloud is configured with."""

from typing import Any

import pytest

from cpi.connecting import connect
from cpi.contract import errors
from cpi.contract.units import MiB
from cpi_drivers.local.host import loop_devices
from cpi_drivers.local.settings import AgentProgram
from tests.drivers.local.place import Place


def _connect(block: Any) -> None:
    connect({"cloud": {"plugin": "local", "properties": {"local": block}}})


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({}, "root: is missing"),
        ({"root": ""}, "root: must be an absolute path"),
        ({"root": "clouds"}, "root: must be an absolute path, got 'clouds'"),
        ({"root": "/"}, "must be a folder of its own"),
        ({"root": 3.5}, "root: Expected `str`, got `float`"),
        ({"root": "/r", "disk_backing": "tape"}, "disk_backing: Invalid enum value 'tape'"),
        ({"root": "/r", "rooot": "/r"}, "rooot: unknown key; did you mean 'root'?"),
        ({"root": "/r", "agent": {"command": ["sleep"]}}, "the program must be an absolute path, got 'sleep'"),
        ({"root": "/r", "agent": {"command": "/a"}}, "agent.command: Expected `array`, got `str`"),
    ],
)
def test_a_fault_is_named(block: dict[str, Any], words: str) -> None:
    """The key, what was expected and what came."""
    with pytest.raises(errors.CpiError) as caught:
        _connect(block)
    assert words in caught.value.message


def test_all_faults_are_in_one_error() -> None:
    """So that they are mended at once."""
    with pytest.raises(errors.CpiError) as caught:
        _connect({"disk_backing": 1, "agents": {}})
    assert all(word in caught.value.message for word in ("root: is missing", "disk_backing", "did you mean 'agent'?"))


def test_connecting_makes_nothing(place: Place) -> None:
    """The root folder comes with the first resource."""
    assert not place.root.exists()


def test_the_root_folder_is_for_its_owner_alone(place: Place) -> None:
    """It holds keys."""
    place.disk()
    assert place.root.stat().st_mode & 0o777 == 0o700


def test_the_placeholders_of_a_command_are_filled() -> None:
    """Each as often as it is there; what a value holds is not filled again."""
    program = AgentProgram(("/bin/agent", "-s={settings}", "{vm_dir}/{agent_id}", "${other} {}"))
    assert program.filled("/v/{settings}", "/v/s.json", "a1") == ["/bin/agent", "-s=/v/s.json", "/v/{settings}/a1", "${other} {}"]


def test_a_loop_disk_without_the_right_to_mount_is_refused_with_the_reason(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than half way through; auto takes folders then."""
    monkeypatch.setattr(loop_devices, "_may_mount", lambda: False)
    with pytest.raises(errors.CpiError, match="loop is not possible here: loop devices "):
        place.cloud.create_disk(MiB(1), {"backing": "loop"})
    disk_cid = place.connect(disk_backing="auto").create_disk(MiB(1), {})
    assert place.row("disks", disk_cid)["backing"] == "folder"


def test_loop_disks_configured_where_there_are_none_are_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason, at the first disk."""
    monkeypatch.setattr(loop_devices, "_may_mount", lambda: False)
    with pytest.raises(errors.CpiError, match="disk_backing: loop is not possible here: loop devices "):
        place.connect(disk_backing="loop").create_disk(MiB(1), {})
