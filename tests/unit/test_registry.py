"""From a plugin's name to its Cloud class, and what is said where there is none."""

from pathlib import Path

import pytest

import cpi
from cpi import registry
from cpi.contract import errors
from cpi.contract.model import CallContext
from tests.rpc.executable import Executable
from tests.rpc.scripted_cloud import ScriptedCloud


def plugin(folder: Path, distribution: str, **entries: str) -> None:
    """A distribution with entry points, below folder."""
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cpi.drivers]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items()))


def test_the_drivers_here_are_found_by_their_folder() -> None:
    """local is always there; its facts are known without loading it."""
    assert "local" in registry.driver_names()
    assert registry.known_stemcell_formats("local") == registry.stemcell_formats("local")


def test_a_driver_from_elsewhere_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No list to edit."""
    executable = Executable.in_folder(tmp_path)
    assert "scripted" not in registry.driver_names()
    monkeypatch.syspath_prepend(executable.plugins)
    assert "scripted" in registry.driver_names()
    assert registry.load("scripted") is ScriptedCloud
    assert registry.known_stemcell_formats("scripted") is None
    assert registry.stemcell_formats("scripted") == ("scripted-tar",)


@pytest.mark.parametrize("name", ["nimbus", "", "../local", "local.agent", "os", "class", "lo cal"])
def test_an_unknown_driver_is_refused_with_those_there_are(name: str) -> None:
    """No name is imported just because it was given."""
    with pytest.raises(errors.CpiError, match=r"unknown driver .*; known drivers: .*local"):
        registry.load(name)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module:Cloud", "No module named 'no_such_module'"),
        ("tests.rpc.scripted_cloud:NoCloud", "has no attribute 'NoCloud'"),
    ],
)
def test_a_driver_that_cannot_be_loaded_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, reason: str
) -> None:
    """A missing SDK, a renamed class."""
    plugin(tmp_path, "broken", broken=target)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(errors.CpiError, match="the driver 'broken' cannot be loaded") as raised:
        registry.load("broken")
    assert reason in raised.value.message


def test_what_to_install_is_told() -> None:
    """The extra, where there is one."""
    assert registry.install_hint("aws") == "; install it with: pip install 'multicpi[aws]'"
    assert registry.install_hint("") == ""


@pytest.mark.parametrize("name", ["twin", "local"])
def test_two_drivers_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Which of them made the VMs would be chance; a driver of ours cannot be replaced in silence either."""
    plugin(tmp_path, "first", **{name: "first:Cloud"})
    plugin(tmp_path, "second", **{name: "second:Cloud"})
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(errors.CpiError, match=f"two drivers are named '{name}': .* and .*; uninstall one"):
        registry.driver_names()


def test_connect_gives_a_cloud_ready_to_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a path, with the context laid over; the driver gets its own block."""
    executable = Executable.in_folder(tmp_path)
    monkeypatch.syspath_prepend(executable.plugins)
    with cpi.connect(executable.config, CallContext(request_id="r", properties={"misbehave": {}})) as cloud:
        assert isinstance(cloud, ScriptedCloud)
        assert cloud.has_vm(cpi.VmCid("vm-1"))
    assert [call["method"] for call in executable.calls()] == ["has_vm", "close"]
    assert executable.calls()[0]["context"]["request_id"] == "r"


def test_drivers_are_those_that_load_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name."""
    executable = Executable.in_folder(tmp_path)
    monkeypatch.syspath_prepend(executable.plugins)
    assert cpi.drivers()["scripted"] is ScriptedCloud
