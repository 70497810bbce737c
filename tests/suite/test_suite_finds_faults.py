"""The suite is worth something: it finds each of many faults, by the clauses that speak of it and by no others."""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.suite import faulty_contracts
from tests.suite.faults import FAULTS

_SHARES = 3
_ROOT = Path(__file__).resolve().parents[2]


def test_there_are_faults_to_find() -> None:
    """The modules that hold them were read."""
    assert len(faulty_contracts.MODULES) == 4
    assert len(FAULTS) >= 54


@pytest.mark.slow
@pytest.mark.parametrize("share", range(_SHARES))
def test_each_fault_is_found_by_its_clauses(share: int, tmp_path: Path) -> None:
    """The suite as an author would run it, on clouds with one fault each."""
    faults = {faulty.__name__: clauses for faulty, clauses in list(FAULTS.items())[share::_SHARES]}
    found = _found_in(sorted(faults), tmp_path)
    assert {name: found[name] for name in faults} == faults


def _found_in(names: list[str], folder: Path) -> dict[str, frozenset[str]]:
    report = folder / "report.xml"
    module = Path(faulty_contracts.__file__)
    chosen = [f"{module}::Test{name}" for name in names]
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", f"--junit-xml={report}"]
    apart = ["--disable-plugin-autoload", "--noconftest", "-c", os.devnull, f"--rootdir={_ROOT}", "--import-mode=importlib"]
    done = subprocess.run(
        [*command, *apart, f"--basetemp={folder / 'base'}", *chosen], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    assert report.exists(), done.stdout + done.stderr
    return _failed(report)


def _failed(report: Path) -> dict[str, frozenset[str]]:
    failed: dict[str, set[str]] = defaultdict(set)
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it just now
        if case.find("failure") is not None or case.find("error") is not None:
            name = case.attrib["classname"].rpartition(".Test")[2]
            failed[name].add(case.attrib["name"].partition("[")[0].removeprefix("test_"))
    return defaultdict(frozenset, {name: frozenset(clauses) for name, clauses in failed.items()})
