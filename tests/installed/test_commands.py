"""What users start, from the wheel and with the libraries that they may have."""

import json
import sys
from pathlib import Path

import pytest

from cpi import registry
from fixtures.installed.interpreters import VERSIONS
from fixtures.local_cloud import local_config, local_config_file
from tests.installed.installing import Installed

_DRIVERS = tuple(registry.driver_names())
_NEWEST = tuple(f"newest-{version}" for version in VERSIONS)
_OURS = f"newest-{sys.version_info[0]}.{sys.version_info[1]}"
_OTHERS = tuple(name for name in _NEWEST if name != _OURS)  # on ours the rest of the tests proves it
_IMPORT_ALL = """
import importlib, pkgutil, sys
import cpi, cpi_drivers
found = [module.name for room in (cpi, cpi_drivers) for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")]
modules = [importlib.import_module(name) for name in found if not name.endswith("__main__")]
assert len(modules) > 400, len(modules)
places = {module.__file__ for module in modules if not module.__file__.startswith(sys.prefix)}
assert not places, places
"""
_ASK = """
import re, sys
from importlib.metadata import requires
import cpi
try:
    exec(sys.argv[1])
except cpi.CpiError as error:
    print(error.message)
    (extra,) = re.findall(r"multicpi.(\\w+)", error.message)
    for one in requires("multicpi"):
        if f"extra == '{extra}'" in one.replace('"', "'"):
            print(re.match(r"[\\w-]+", one)[0])
"""
_KEEP_WORKS = """
import sys
from cpi.durable.database import database
from cpi.durable.engine import Executor
executor = Executor(database(f"sqlite:///{sys.argv[1]}/works.sqlite"), "1", sys.exit)
executor.launch()
executor.close(lambda: True)
"""


@pytest.mark.parametrize("installed", [*_OTHERS, "oldest"], indirect=True)
def test_every_module_can_be_imported(installed: Installed) -> None:
    """From the wheel, with nothing of the repository in reach."""
    done = installed.run("python", "-I", "-c", _IMPORT_ALL)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("installed", [*_NEWEST, "oldest"], indirect=True)
def test_every_driver_tells_its_stemcells_to_a_director(installed: Installed) -> None:
    """Bare `cpi` on a pipe."""
    for name in _DRIVERS:
        answer = installed.call({"cloud": {"plugin": name, "properties": {}}}, "info")
        assert answer["result"]["stemcell_formats"] == list(registry.stemcell_formats(name))


@pytest.mark.parametrize("installed", [*_OTHERS, "oldest"], indirect=True)
def test_durable_works_can_be_kept(installed: Installed) -> None:
    """In the SQLite that this Python has."""
    done = installed.run("python", "-I", "-c", _KEEP_WORKS, installed.elsewhere)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("installed", [_OURS, "oldest"], indirect=True)
def test_the_drivers_are_shown(installed: Installed) -> None:
    """All load where all extras are installed."""
    done = installed.run("cpi", "drivers")
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line[:1].strip()}
    assert sorted(rows.keys() - {"driver"}) == list(_DRIVERS)
    assert [name for name in _DRIVERS if not rows[name].rstrip().endswith("loads")] == []


@pytest.mark.parametrize("installed", ["core"], indirect=True)
def test_without_an_extra_the_drivers_tell_which_they_need(installed: Installed) -> None:
    """The local cloud needs none."""
    done = installed.run("cpi", "drivers", COLUMNS="400")
    assert done.returncode == 0, done.stderr
    extras = {name: registry.extra_of(name) for name in _DRIVERS}
    assert [name for name in _DRIVERS if extras[name] and f"pip install 'multicpi[{extras[name]}]'" not in done.stdout] == []
    assert done.stdout.count("loads") == list(extras.values()).count("")


@pytest.mark.slow
@pytest.mark.parametrize("installed", ["core"], indirect=True)
def test_the_demonstration_needs_no_extra(installed: Installed, tmp_path: Path) -> None:
    """And loses no row."""
    done = installed.run("cpi", "demo", "--json", "--root", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows_lost"] == 0


@pytest.mark.parametrize("installed", ["core"], indirect=True)
def test_without_the_suite_its_extra_is_told(installed: Installed) -> None:
    """By `cpi conformance`."""
    done = installed.run("cpi", "conformance")
    assert done.returncode == 1
    assert "pip install 'multicpi[conformance]'" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("asked", "library", "extra"),
    [
        ("import cpi.agent.nats", "nats-py", "nats"),
        ("import cpi.durable.engine", "dbos", "durable"),
        ("from cpi.durable.locks import _session; _session('postgresql://127.0.0.1:1')", "psycopg", "durable"),
        ("from cpi.migration.fleet import read_fleet; read_fleet('fleet.yml')", "pyyaml", "durable"),
        ("from cpi.resurrection.watchfile import read_watchfile; read_watchfile('instances.yml')", "pyyaml", "watch"),
        ("import cpi.resurrection.metrics", "dbos", "durable"),  # what the monitor needs first
    ],
)
@pytest.mark.parametrize("installed", ["core"], indirect=True)
def test_the_extra_that_a_message_names_brings_what_is_missing(
    installed: Installed, asked: str, library: str, extra: str
) -> None:
    """By what the installed wheel itself says of its extras."""
    done = installed.run("python", "-I", "-c", _ASK, asked)
    assert done.returncode == 0, done.stderr
    message, *brought = done.stdout.splitlines()
    assert message.endswith(f"; install it with: pip install 'multicpi[{extra}]'")
    assert library in brought


@pytest.mark.slow
@pytest.mark.parametrize("installed", ["conformance", "oldest"], indirect=True)
def test_the_local_cloud_answers_as_a_director_wants(installed: Installed, tmp_path: Path) -> None:
    """The clauses of the wire, by the command that brings them; the extra for them is all they need."""
    done = installed.run("cpi", "conformance", "--config", local_config_file(tmp_path), "--only", "test_wire")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wire: writes one document and nothing else" in done.stdout
    assert "broken" not in done.stdout


@pytest.mark.parametrize("installed", ["conformance"], indirect=True)
def test_a_suite_of_ones_own_runs_with_the_extra_alone(installed: Installed, tmp_path: Path) -> None:
    """As docs/conformance.md shows it."""
    suite = f"""
import pytest
from cpi.testing import CloudContract, Harness

class TestMine(CloudContract):
    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls):
        return Harness(config={local_config(tmp_path)!r})
"""
    (tmp_path / "test_mine.py").write_text(suite, encoding="utf-8")
    done = installed.run("python", "-I", "-m", "pytest", "-q", "-k", "ping_then", tmp_path)
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
