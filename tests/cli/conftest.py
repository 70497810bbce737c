"""What the tests of the commands share: the executable, and a local cloud of the test's own."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from cpi.rpc import child
from cpi.testing.fork_server import ForkServer, fork_server
from fixtures.local_cloud import local_config_file

_SECONDS = 120
_KINDS = 60
"""How many starts show what the commands import: there are many commands, and tests come in any order."""


class Done(NamedTuple):
    """How a command ended, and what it said."""

    returncode: int | None
    stdout: str
    stderr: str


Command = Callable[..., Done]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of a local cloud on folders."""
    return local_config_file(tmp_path)


@pytest.fixture(scope="session")
def forked() -> Iterator[ForkServer]:
    """Starts of `python -m cpi`, which cost a third of a second and more each when they are cold."""
    with fork_server(learn_from=_KINDS) as server:
        yield server


@pytest.fixture
def cpi(tmp_path: Path, forked: ForkServer) -> Command:
    """Runs the executable with arguments, away from any terminal and any configuration."""
    return partial(_run, [sys.executable, "-m", "cpi"], tmp_path, partial(forked.start, cwd=tmp_path))


@pytest.fixture
def cold_cpi(tmp_path: Path) -> Command:
    """The same by the console script, in a process that has imported nothing: once for each command, so that no import lacks."""
    return partial(_run, [str(Path(sys.executable).with_name("cpi"))], tmp_path, child.start)


def _run(
    program: list[str], home: Path, start: child.Start, /, *arguments: object, answers: str = "", **environment: str
) -> Done:
    variables = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(home), "COLUMNS": "200", **environment}
    command = [*program, *map(str, arguments)]
    done = child.run(command, answers.encode(), variables, deadline_seconds=_SECONDS, grace_seconds=_SECONDS, start=start)
    assert done.ended == "by itself", done
    return Done(done.exit_status, done.stdout.decode(), done.stderr.decode())
