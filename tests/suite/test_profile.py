"""A profile is read with its faults named, and becomes a harness."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.testing.harness import Harness
from cpi.testing.profile import Profile, read_profile, shipped_profile
from cpi.testing.profile_harness import harness_of

CONFIG: dict[str, Any] = {"cloud": {"plugin": "any", "properties": {"any": {"region": "eu-9", "password": "hunter-22"}}}}


def _harness(tmp_path: Path, **document: Any) -> Harness:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(document))
    return harness_of(CONFIG, *read_profile(path), tmp_path)


def test_an_empty_profile_is_a_harness_of_defaults(tmp_path: Path) -> None:
    """Everything in a profile has a default, and it is the harness's own."""
    made, default = _harness(tmp_path), Harness(config=CONFIG)
    assert {field for field in Harness.__struct_fields__ if getattr(made, field) != getattr(default, field)} == set()


def test_networks_get_addresses_one_after_another(tmp_path: Path) -> None:
    """Only where the profile asks for one; from the first again when all were used."""
    networks = _harness(
        tmp_path,
        networks={"a": {"ip": "{address}", "netmask": "255.0.0.0"}, "b": {"type": "dynamic", "cloud_properties": {"x": 1}}},
        addresses=["10.0.0.9", "10.0.0.254-10.0.1.1"],
    ).networks
    made = [networks() for _ in range(6)]
    assert [each["a"].ip for each in made] == ["10.0.0.9", "10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1", "10.0.0.9"]
    assert {each["b"].ip for each in made} == {None}
    assert made[0]["b"].cloud_properties == {"x": 1}


def test_files_become_a_stemcell(tmp_path: Path) -> None:
    """A gzipped tar of them."""
    stemcell = _harness(tmp_path, stemcell={"files": {"etc/motd": "hellö\n"}, "cloud_properties": {"name": "s"}}).stemcell
    with tarfile.open(stemcell.image, "r:gz") as archive:
        member = archive.extractfile("etc/motd")
        assert member is not None
        assert member.read() == "hellö\n".encode()
    assert stemcell.cloud_properties == {"name": "s"}


def test_an_image_is_looked_for_beside_the_profile(tmp_path: Path) -> None:
    """And an absolute path is taken as it is."""
    assert _harness(tmp_path, stemcell={"image": "images/one"}).stemcell.image == str(tmp_path / "images/one")
    assert _harness(tmp_path, stemcell={"image": "/images/one"}).stemcell.image == "/images/one"


def test_unreachable_is_laid_over_the_plugins_own_block(tmp_path: Path) -> None:
    """The rest of the configuration stays."""
    unreachable = _harness(tmp_path, unreachable={"endpoint": "https://127.0.0.1:1"}).unreachable
    assert unreachable is not None
    block = unreachable["cloud"]["properties"]["any"]
    assert block == {"region": "eu-9", "password": "hunter-22", "endpoint": "https://127.0.0.1:1"}


def test_powers_absent_cids_and_sizes_are_read(tmp_path: Path) -> None:
    """In the contract's own types."""
    harness = _harness(tmp_path, capabilities=["snapshots"], absent={"vm": "i-0"}, disk={"size": 1024, "larger_size": 2048})
    assert harness.capabilities == frozenset({Capability.SNAPSHOTS})
    assert (harness.absent.vm, harness.absent.disk) == ("i-0", "disk-that-never-was")
    assert (harness.disk_size, harness.larger_disk_size) == (1024, 2048)


def test_an_executable_has_the_powers_of_the_driver_that_its_configuration_names(tmp_path: Path) -> None:
    """Unless the profile names them; and nobody gets into its VMs, for it does not show the settings of their agents."""
    local = {"cloud": {"plugin": "local", "properties": {"local": {"root": str(tmp_path)}}}}
    shipped, folder = shipped_profile("local")
    assert harness_of(local, shipped, folder, tmp_path, ["/cpi"]).capabilities == frozenset(Capability)
    assert harness_of(local, shipped, folder, tmp_path, ["/cpi"]).guest is None
    assert harness_of({}, Profile(), folder, tmp_path, ["/cpi"]).capabilities is None


def test_a_census_command_is_asked(tmp_path: Path) -> None:
    """It prints a JSON object of numbers."""
    census = _harness(tmp_path, census=["/bin/echo", '{"vms": 3}']).census
    assert census is not None
    assert census() == {"vms": 3}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"disks": {}}, "unknown field `disks`"),
        ({"disk": {"size": "large"}}, r"Expected `int`, got `str` - at `\$.disk.size`"),
        ({"capabilities": ["flying"]}, "Invalid enum value 'flying'"),
        ({"absent": {"vm": " "}}, "Expected a non-empty `str`"),
        ({"networks": {"a": {"ip": "{address}"}}, "addresses": ["10.0.0.1-x"]}, "the profile's addresses: 'x'"),
        ({"networks": {"a": {"ip": 7}}}, "the profile's networks"),
    ],
    ids=["unknown key", "wrong type", "unknown power", "empty CID", "no address", "no network"],
)
def test_a_fault_is_named(tmp_path: Path, document: dict[str, Any], told: str) -> None:
    """Where it is, and what was expected."""
    with pytest.raises(errors.CpiError, match=told):
        _harness(tmp_path, **document).networks()


def test_the_local_driver_ships_a_profile() -> None:
    """By which `cpi conformance` proves all there is to prove on it."""
    profile, _ = shipped_profile("local")
    assert profile.agent == "https"
    assert profile.networks


def test_a_driver_without_a_profile_gets_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no fault not to ship one."""
    from tests.suite.memory_cloud import MemoryCloud

    monkeypatch.setattr("cpi.registry.load", lambda _: MemoryCloud)
    assert shipped_profile("memory")[0] == Profile()
