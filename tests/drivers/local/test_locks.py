"""One lock per resource, over processes and threads."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi_drivers.local.host import locks

_HOLDER = """
import sys, pathlib
from cpi_drivers.local.host import locks
with locks.held(pathlib.Path(sys.argv[1]), "it"):
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(path: Path) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_lock_is_held_by_one_only(tmp_path: Path) -> None:
    """Also within one process, as threads need it."""
    path = tmp_path / "lock"
    with locks.held(path, "it"), locks.held_if_free(path) as free:
        assert not free
    with locks.held_if_free(path) as free:
        assert free


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """The kernel sees to it."""
    path = tmp_path / "lock"
    with _holder(path) as holder:
        with locks.held_if_free(path) as free:
            assert not free
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with locks.held_if_free(path) as free:
            assert free


def test_waiting_ends_with_an_error_that_names_the_resource(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A holder that hangs must not hang everybody."""
    monkeypatch.setattr(locks, "_LONGEST_WAIT_SECONDS", 0.05)
    path = tmp_path / "lock"
    with locks.held(path, "it"), pytest.raises(errors.CloudError, match="disk d1 is being changed by another call"):  # noqa: SIM117 - the order is the point
        with locks.held(path, "disk d1"):
            pytest.fail("the lock was held twice")


def test_a_removed_lock_file_locks_nothing(tmp_path: Path) -> None:
    """Who waited for a resource that was removed does not hold its lock while another makes one of that name."""
    path = tmp_path / "lock"
    with locks.held(path, "it"):
        path.unlink()
        with locks.held_if_free(path) as free:
            assert free
            with locks.held_if_free(path) as again:
                assert not again
