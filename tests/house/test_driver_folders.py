"""One mould for all drivers: the same thing lies in the same place, and a folder shows about ten things."""

import pytest

from tests.house.source import ROOT

_DRIVERS = ROOT / "drivers" / "cpi_drivers"
_ALL = {"__init__.py", "cloud.py", "settings.py", "vms", "disks", "stemcells", "networks", "doctor"}
_SOME = {"api", "properties.py", "naming.py", "tags.py"}
_OWN = {
    "local": {"agent", "host", "conformance.json"},  # a VM's agent; the host stands in for an API; what the suite tries on it
    "vsphere": {"nsxt_settings.py"},  # NSX-T's own block of the configuration
}
_INSIDE = {
    "api": {"client.py", "errors.py"},
    "vms": {"lifecycle.py", "creation.py", "agent_settings.py"},
    "disks": {"lifecycle.py", "attachments.py", "snapshots.py"},
    "stemcells": {"lifecycle.py"},
    "networks": {"requested.py"},
    "doctor": {"checks.py"},
}
_MISSING = {("vcloud", "disks", "snapshots.py")}  # an independent disk of Cloud Director has no snapshots
_MOST = 12


def _names() -> list[str]:
    return sorted(path.name for path in _DRIVERS.iterdir() if (path / "__init__.py").exists())


def _entries(*parts: str) -> set[str]:
    return {path.name for path in _DRIVERS.joinpath(*parts).iterdir() if path.name != "__pycache__"}


@pytest.mark.parametrize("name", _names())
def test_a_drivers_folder_shows_the_nouns_of_bosh(name: str) -> None:
    """What all have, what some have, and little of its own."""
    entries = _entries(name)
    assert _ALL - entries == set()
    assert entries - _ALL - _SOME - _OWN.get(name, set()) == set()
    assert len(entries) <= _MOST


@pytest.mark.parametrize("name", _names())
def test_the_same_thing_has_the_same_name_in_every_driver(name: str) -> None:
    """In each of its folders."""
    absent = {
        (name, folder, file)
        for folder, files in _INSIDE.items()
        if (_DRIVERS / name / folder).exists()
        for file in files - _entries(name, folder)
    }
    assert absent - _MISSING == set()
