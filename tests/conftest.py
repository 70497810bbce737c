"""What every test is run with: suites that this machine can not run are skipped by name, and told at the end."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.clouds.openstack import ControlPlane, running
from fixtures.postgresql import postgresql, program

_PROGRAMS_OF_ROOT = ("losetup", "mkfs.ext4", "resize2fs", "mount")
_CANNOT = "can not run here: "
_STALLS = (r"VM [-0-9a-f]+: not within 90 s", "No valid host was found")
"""What Nova's simulator does now and then by itself: a build that nobody takes up, a host that has not told of its room yet."""


@pytest.fixture(scope="session")
def openstack_plane() -> Iterator[ControlPlane]:
    """A real OpenStack; the processes of a parallel run share one. It stops with the last of them."""
    with running() as plane:
        yield plane


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL."""
    if program("postgres") is None:
        pytest.skip(f"{_CANNOT}needs the Debian package postgresql")
    with postgresql() as url:
        yield url


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs root where that can not be had. What OpenStack's simulator stalled is tried again."""
    for item in items:
        if "openstack_plane" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=2, only_rerun=list(_STALLS)))
    reason = _why_not_root()
    for item in items if reason else ():
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason=f"{_CANNOT}{reason}"))


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
    """Say which suites could not run, so that nobody takes their silence for success."""
    cannot = _left_out(terminalreporter)
    if not cannot:
        return
    terminalreporter.section("could not run here")
    for suite, count in sorted(cannot.items()):
        terminalreporter.line(f"{suite} ({count} left out)")
    if _is_ci():
        terminalreporter.line("this is continuous integration (CI=true): counted as a failure")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In continuous integration a suite that can not run is a failure: there the machine is ours to put right."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if _is_ci() and reporter and _left_out(reporter) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_ci() -> bool:
    return os.environ.get("CI") == "true"


def _left_out(reporter: pytest.TerminalReporter) -> Counter[str]:
    skipped = reporter.stats.get("skipped", [])
    told = [(report.nodeid.split("::")[0], str(report.longrepr[2])) for report in skipped if isinstance(report.longrepr, tuple)]
    return Counter(f"{suite}: {why.split(_CANNOT)[1]}" for suite, why in told if _CANNOT in why)
