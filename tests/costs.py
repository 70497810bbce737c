"""What a run cost: the seconds that each folder of tests took in its workers, and which of the code it reached."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import coverage
import pytest

_ROOT = Path(__file__).resolve().parents[1]
_REPORT = _ROOT / ".runs" / "coverage.json"


def is_measured() -> bool:
    """Whether this run is one of `make coverage`: the variable is how coverage.py reaches the processes that tests start."""
    return "COVERAGE_PROCESS_CONFIG" in os.environ


def seconds_by_folder(reporter: pytest.TerminalReporter) -> Iterator[str]:
    """A line for each folder of tests: seconds in workers, set-up and removal included; the most expensive folder first."""
    seconds: defaultdict[str, float] = defaultdict(float)
    tests: defaultdict[str, set[str]] = defaultdict(set)
    for report in (one for reports in reporter.stats.values() for one in reports if isinstance(one, pytest.TestReport)):
        folder = str(PurePosixPath(report.nodeid.partition("::")[0]).parent)
        seconds[folder] += report.duration
        tests[folder].add(report.nodeid)
    for folder in sorted(seconds, key=seconds.__getitem__, reverse=True):
        yield f"{seconds[folder]:8.1f} s  {len(tests[folder]):5} tests  {folder}"
    yield f"{sum(seconds.values()):8.1f} s  {sum(map(len, tests.values())):5} tests  in all"


def coverage_by_folder() -> Iterator[str]:
    """A line for each folder of code: how many of its statements and branches were reached; .runs/coverage.json has each line."""
    if here := coverage.Coverage.current():
        here.save()  # with a single worker the tests ran in this process
    for command in (["combine", "--quiet"], ["json", "--quiet", "-o", str(_REPORT)]):
        subprocess.run([sys.executable, "-m", "coverage", *command], cwd=_ROOT, check=True, env=_without_measuring())
    document = json.loads(_REPORT.read_text(encoding="utf-8"))
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for path, file in document["files"].items():
        reached, there = _reached(file["summary"])
        for folder in ("/".join(path.split("/")[:2]) if path.count("/") > 1 else path.split("/")[0], "in all"):
            sums[folder][0] += reached
            sums[folder][1] += there
    for folder, (reached, there) in sorted(sums.items(), key=lambda item: (item[0] == "in all", item[0])):
        yield f"{100 * reached / max(there, 1):6.1f} %  {folder}"


def _reached(summary: Mapping[str, Any]) -> tuple[int, int]:
    reached = summary["covered_lines"] + summary["covered_branches"]
    return reached, summary["num_statements"] + summary["num_branches"]


def _without_measuring() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"}
