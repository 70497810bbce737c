"""What every test is run with: suites that this machine cannot run are skipped by name, and told at the end."""

import contextlib
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cpi.kit import redaction
from fixtures.clouds.openstack import ControlPlane, begun
from fixtures.nats_server import NatsServer, nats_server
from fixtures.postgresql import postgresql, program
from tests import costs

_PROGRAMS_OF_ROOT = ("losetup", "mkfs.ext4", "resize2fs", "mount")
_CANNOT = "cannot run here: "
_PLANE = pytest.StashKey[Callable[[], ControlPlane]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to start OpenStack if a test will need it: that takes long, and other tests can run meanwhile."""
    wanted = any("openstack_plane" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        opened = contextlib.ExitStack()
        session.config.add_cleanup(opened.close)
        session.config.stash[_PLANE] = opened.enter_context(begun())


@pytest.fixture(scope="session")
def openstack_plane(pytestconfig: pytest.Config) -> ControlPlane:
    """A real OpenStack; the processes of a parallel run share one. It stops with the last of them."""
    return pytestconfig.stash[_PLANE]()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL."""
    if program("postgres") is None:
        pytest.skip(f"{_CANNOT}needs the Debian package postgresql")
    with postgresql() as url:
        yield url


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process masks what it ever learned to be a secret: here each test begins without."""
    monkeypatch.setattr(redaction, "_known", redaction._Known())


@pytest.fixture(scope="session")
def message_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A real NATS server that wants certificates; who joins it leaves it at the end of the test."""
    with nats_server(tmp_path_factory.mktemp("message-bus")) as server:
        yield server


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave long forms to `make nightly`; skip what needs root where that cannot be had."""
    long = [] if os.environ.get("NIGHTLY") else [item for item in items if item.get_closest_marker("nightly")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
    reason = _why_not_root()
    for item in items if reason else ():
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason=f"{_CANNOT}{reason}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what OpenStack's services said during a test that failed: their logs go with them."""
    report = yield
    plane = getattr(item, "funcargs", {}).get("openstack_plane")
    if report.failed and isinstance(plane, ControlPlane):
        report.sections += [(f"{service}.log", plane.log_since(service, call.start)) for service in plane.urls]
    return report


def _why_not_root() -> str | None:
    if sys.platform != "linux":
        return "needs Linux"
    if os.geteuid() != 0:
        return "needs root (loop devices, mounts)"
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = [program for program in _PROGRAMS_OF_ROOT if not shutil.which(program, path=path)]
    if missing:
        return f"needs {', '.join(missing)}"
    return None if Path("/dev/loop-control").exists() else "needs loop devices"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the run cost and reached; which suites could not run, and what others could not prove: silence is no success."""
    _section(terminalreporter, "seconds in workers", costs.seconds_by_folder(terminalreporter))
    if costs.is_measured():
        _section(terminalreporter, "statements and branches reached", costs.coverage_by_folder())
    _section(terminalreporter, "not proven", not_proven(terminalreporter))
    _section(terminalreporter, "ran as users install it", ran_as_installed(terminalreporter))
    cannot = [f"{suite} ({count} left out)" for suite, count in sorted(_left_out(terminalreporter).items())]
    if cannot and _is_ci():
        cannot.append("this is continuous integration (CI=true): counted as a failure")
    _section(terminalreporter, "could not run here", cannot)


def _section(reporter: pytest.TerminalReporter, title: str, lines: Iterable[str]) -> None:
    text = list(lines)
    if text:
        reporter.section(title)
        for line in text:
            reporter.line(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In continuous integration a suite that cannot run is a failure: there the machine is ours to put right."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if _is_ci() and reporter and _left_out(reporter) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def not_proven(reporter: pytest.TerminalReporter) -> list[str]:
    """What tests told in their property of that name, each once."""
    return sorted({f"{node.rpartition('::')[0]}: {value}" for node, name, value in _properties(reporter) if name == "not proven"})


def ran_as_installed(reporter: pytest.TerminalReporter) -> list[str]:
    """The Pythons and libraries beside which the package was tried as users install it."""
    counted = Counter(value for _, name, value in _properties(reporter) if name == "ran as installed")
    return [f"{title} ({count} tests)" for title, count in sorted(counted.items())]


def _properties(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, str, Any]]:
    """What tests that passed told beside."""
    return ((report.nodeid, *told) for report in reporter.stats.get("passed", []) for told in report.user_properties)


def _is_ci() -> bool:
    return os.environ.get("CI") == "true"


def _left_out(reporter: pytest.TerminalReporter) -> Counter[str]:
    skipped = reporter.stats.get("skipped", [])
    told = [(report.nodeid.split("::")[0], str(report.longrepr[2])) for report in skipped if isinstance(report.longrepr, tuple)]
    return Counter(f"{suite}: {why.split(_CANNOT)[1]}" for suite, why in told if _CANNOT in why)
