"""`cpi new-driver NAME`: the package that it writes runs, and keeps the contract."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cpi.cli import new_driver
from cpi.contract import errors


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """One for the cloud acme, as if it were installed."""
    folder = tmp_path / "cpi-acme"
    new_driver.new_driver("acme", folder)
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    facts = folder / "cpi_acme-0.1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: cpi-acme\nVersion: 0.1.0\n", encoding="utf-8")
    rows = "".join(f"{name} = {target}\n" for name, target in project["entry-points"]["cpi.drivers"].items())
    (facts / "entry_points.txt").write_text(f"[cpi.drivers]\n{rows}", encoding="utf-8")
    return folder


def _run(package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(package), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=package, env=environment, check=False, capture_output=True, text=True)


def test_a_new_driver_keeps_the_contract(package: Path) -> None:
    """Every clause that can be seen from outside, in process; through the executable those of two methods."""
    chosen = "in-process or (executable and (has_disk or info))"
    done = _run(package, "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "tests", "-k", chosen)
    assert done.returncode == 0, done.stdout[-3000:]
    passed = next(line for line in done.stdout.splitlines()[::-1] if " passed" in line)
    assert int(passed.partition(" passed")[0].split()[-1]) > 140
    assert "failed" not in passed


def test_a_new_driver_is_one_of_the_drivers(package: Path) -> None:
    """Found by its entry point, beside those of this repository."""
    done = _run(package, "cpi", "drivers")
    assert done.returncode == 0, done.stderr
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("acme"))
    assert "loads" in row


def test_info_does_not_load_a_new_driver(package: Path, tmp_path: Path) -> None:
    """Its package states the formats: a driver that cannot even be imported still answers."""
    config = tmp_path / "cpi.json"
    config.write_text('{"cloud": {"plugin": "acme", "properties": {"acme": {"folder": "/"}}}}', encoding="utf-8")
    (package / "cpi_acme" / "cloud.py").write_text("raise RuntimeError('loaded')", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(package)}
    command = [sys.executable, "-m", "cpi", "rpc", "--config", str(config)]
    request = '{"method": "info", "arguments": [], "context": {}}'
    done = subprocess.run(command, input=request, env=environment, cwd=package, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["result"] == {"stemcell_formats": ["acme-raw"], "api_version": 3}


def test_nothing_of_the_skeleton_is_left(package: Path) -> None:
    """Neither its name nor its place."""
    texts = {path: path.read_text(encoding="utf-8") for path in package.rglob("*") if path.is_file()}
    assert [path for path, text in texts.items() if "example" in text.lower() or "skeleton" in text] == []


@pytest.mark.parametrize("name", ["Acme", "1st", "class", "a-b", "", "local"])
def test_a_name_that_cannot_be_one_is_refused(name: str, tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(errors.CpiError):
        new_driver.new_driver(name, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(package: Path) -> None:
    """A folder with something in it is somebody's."""
    with pytest.raises(errors.CpiError, match="is not empty"):
        new_driver.new_driver("other", package)
