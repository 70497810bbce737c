"""Runs the suite for a harness, and tells of each test as it ends."""

import os
import tempfile
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import pytest

from cpi.contract import errors
from cpi.kit.redaction import scrubbed, secrets_in
from cpi.testing import clause_table, collected_tests
from cpi.testing.harness import Harness

Verdict = Literal["proven", "refused", "not proven", "broken"]

WORST_FIRST: Final[tuple[Verdict, ...]] = ("broken", "not proven", "refused", "proven")


class Result(NamedTuple):
    """One test by one face."""

    test: str
    face: str
    verdict: Verdict
    seconds: float
    detail: str
    """Why, unless proven; never a secret of the harness."""


OnResult = Callable[[Result, int], None]


class Recorder:
    """A plugin of pytest, in place of its own report."""

    def __init__(self, harness: Harness, on_result: OnResult) -> None:
        self._harness = harness
        self.results: list[Result] = []
        self._on_result = on_result
        self._tests: dict[str, tuple[str, str]] = {}
        self._phases: dict[str, list[pytest.TestReport]] = {}

    @pytest.fixture(scope="session")
    def harness_of_the_command(self) -> Harness:
        """What collected_tests asks for."""
        return self._harness

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Take the place of pytest's report."""
        config.pluginmanager.unregister(name="terminalreporter")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Which tests there will be."""
        for item in session.items:
            assert isinstance(item, pytest.Function)
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            self._tests[item.nodeid] = (item.originalname, str(parameters.get("face", "executable")))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test ended; teardown is the last."""
        self._phases.setdefault(report.nodeid, []).append(report)
        if report.when == "teardown":
            result = self._judged(report.nodeid, self._phases.pop(report.nodeid))
            self.results.append(result)
            self._on_result(result, len(self._tests))

    def _judged(self, nodeid: str, phases: list[pytest.TestReport]) -> Result:
        test, face = self._tests[nodeid]
        verdict, detail = _verdict(phases)
        secrets = self._harness.secrets | secrets_in(self._harness.config)
        return Result(test, face, verdict, sum(phase.duration for phase in phases), scrubbed(detail, secrets))


def _verdict(phases: list[pytest.TestReport]) -> tuple[Verdict, str]:
    broken = [phase.longreprtext for phase in phases if phase.failed]
    if broken:
        return "broken", "\n".join(broken)
    skipped = [str(phase.longrepr[2]) for phase in phases if phase.skipped and isinstance(phase.longrepr, tuple)]
    if skipped:
        return "not proven", skipped[0].removeprefix("Skipped: ").removeprefix("not proven: ")
    lacking = [str(value) for phase in phases for key, value in phase.user_properties if key == "refused"]
    return ("refused", f"the cloud has no {lacking[0]}") if lacking else ("proven", "")


def run(harness: Harness, on_result: OnResult, *, by_library: bool = True, only: str = "") -> list[Result]:
    """Every clause, or those whose names have `only` in them as pytest's -k understands it.

    by_library: whether the cloud is also called in this process. Raises CpiError if pytest itself fails.
    """
    recorder = Recorder(harness, on_result)
    chosen = collected_tests.TestCloud if by_library else collected_tests.TestExecutable
    with tempfile.TemporaryDirectory(prefix="cpi-conformance-") as folder:
        status = pytest.main(
            [
                *("--disable-plugin-autoload", "-p", "no:cacheprovider", "--tb=short"),
                *("-c", os.devnull, f"--rootdir={folder}", f"--basetemp={folder}/base"),
                *(("-k", only) if only else ()),
                *("--pyargs", f"{collected_tests.__name__}::{chosen.__name__}"),
            ],
            plugins=[recorder],
        )
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise errors.CpiError(f"the suite could not be run: pytest ended with {status!r}{f' for {only!r}' if only else ''}")
    return recorder.results


def clause_of(test: str) -> str:
    """What was tested, as people read it."""
    owner = clause_table.clause_of(test)
    return f"{owner[0]} {owner[1].lower()}: {clause_table.words(test)}" if owner else f"wire: {clause_table.words(test)}"


def in_order(results: list[Result]) -> dict[str, list[Result]]:
    """The results by test, in the order of the contract's page."""
    tests = [test for clause in clause_table.clauses() for test in clause.tests] + clause_table.wire_tests()
    found = {test: [result for result in results if result.test == test] for test in tests}
    return {test: of_test for test, of_test in found.items() if of_test}
