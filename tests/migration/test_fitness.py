"""Who may copy a guest's disk from inside."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cpi.agent.shell import OnOutput, Output
from cpi.migration.guest import Guest

_NOBODY = 65534

pytestmark = pytest.mark.root


class UserShell:
    """Runs commands on this machine as a user who is not root."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)

    def run(
        self, command: Sequence[str], *, deadline_seconds: float, stdin: bytes = b"", on_output: OnOutput | None = None
    ) -> Output:
        """As a Shell does."""
        done = subprocess.run(
            command, input=stdin, capture_output=True, timeout=deadline_seconds, check=False, cwd="/", user=_NOBODY, group=_NOBODY
        )
        return Output(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def guest() -> Iterator[Path]:
    """The root of a guest that is one user's alone."""
    root = Path(tempfile.mkdtemp(prefix="fitness-", dir="/tmp"))
    store = root / "var/vcap/store"
    store.mkdir(parents=True)
    (store / "rows").write_text("all of them")
    for folder, _, files in os.walk(root):
        for name in (".", *files):
            os.chown(Path(folder, name), _NOBODY, _NOBODY)
    yield root
    shutil.rmtree(root)


def test_a_user_may_copy_what_is_all_that_users(guest: Path) -> None:
    """As in the local cloud of somebody who is not root."""
    assert Guest(UserShell(guest), "m").unfit() == ""


def test_a_user_may_not_copy_what_is_another_users(guest: Path) -> None:
    """Owners would be lost, or files not even read."""
    (guest / "var/vcap/store/roots").touch()
    assert "the shell is not root's, and not all of the disk is its own user's" in Guest(UserShell(guest), "m").unfit()


def test_a_user_may_not_copy_what_can_not_be_looked_at(guest: Path) -> None:
    """What cannot be seen may be anybody's."""
    shutil.rmtree(guest / "var/vcap/store")
    assert "the shell is not root's" in Guest(UserShell(guest), "m").unfit()
