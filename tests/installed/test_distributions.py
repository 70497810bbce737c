"""What is in the wheel, and that the sdist makes the same."""

import os
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

from tests.house.source import tracked
from tests.installed.installing import build

_FACTS = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


def _contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_the_package_and_nothing_else(distributions: dict[str, Path]) -> None:
    """Its data and the marks of its types too; no tests, no fixtures."""
    wheel = distributions[".whl"]
    facts = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    wanted = {path.removeprefix("drivers/") for path in tracked() if path.startswith(("cpi/", "drivers/"))}
    assert {
        "cpi/py.typed",
        "cpi_drivers/py.typed",
        "cpi_drivers/aws/api/vm_types.json",
        "cpi_drivers/local/conformance.json",
    } <= wanted
    assert set(_contents(wheel)) ^ (wanted | {f"{facts}/{name}" for name in _FACTS}) == set()


def test_the_sdist_makes_the_same_wheel(distributions: dict[str, Path], tmp_path: Path) -> None:
    """Away from the repository."""
    with tarfile.open(distributions[".gz"]) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    again = build(tmp_path / "built", source)
    assert _contents(again[".whl"]) == _contents(distributions[".whl"])


def test_two_builds_are_the_same_bytes(distributions: dict[str, Path], tmp_path: Path) -> None:
    """Elsewhere, of files of another time: whoever builds a version can compare."""
    with tarfile.open(distributions[".gz"]) as archive:
        archive.extractall(tmp_path / "one", filter="data")
        archive.extractall(tmp_path / "other", filter="data")
    for path in (tmp_path / "other").rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    one, other = (_digests(build(tmp_path / f"built-{name}", next((tmp_path / name).iterdir()))) for name in ("one", "other"))
    assert one == other
    assert other[".whl"] == _digests(distributions)[".whl"]


def _digests(built: dict[str, Path]) -> dict[str, str]:
    return {suffix: sha256(path.read_bytes()).hexdigest() for suffix, path in built.items()}
