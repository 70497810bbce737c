"""What is in the wheel, and that the sdist makes the same."""

import tarfile
import zipfile
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
    again = build(tmp_path / "built", source)[".whl"]
    assert _contents(again) == _contents(distributions[".whl"])
