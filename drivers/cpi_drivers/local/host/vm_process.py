"""A VM is the processes that hold its agent.lock: they inherited it from the launcher, and the last to go frees it."""

import contextlib
import errno
import fcntl
import os
import signal
import sys
from pathlib import Path
from typing import Final

from cpi.contract import errors
from cpi.kit.waiting import wait_until

_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 20.0
_LINES: Final = 5
_HANDED_ON: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "PYTHONPATH", "TMPDIR", "TZ", "USER", "COVERAGE_PROCESS_CONFIG")
"""What a VM sees of its caller's environment, where passwords and tokens lie too; the last one measures what tests reach."""


class VmProcess:
    """The processes of the VM in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = folder / "agent.lock"

    def alive(self) -> bool:
        """Whether any of them is there."""
        try:
            lock = os.open(self._lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def start(self) -> None:
        """Returns when the VM is there. Raises CloudError with the launcher's words."""
        import subprocess

        launcher = [sys.executable, "-P", "-m", "cpi_drivers.local.agent", "--vm-dir", str(self._folder)]
        # neither pipe of a caller may reach the VM: the director waits until all who have them are gone
        try:
            done = subprocess.run(
                launcher,
                env={name: os.environ[name] for name in _HANDED_ON if name in os.environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                check=False,
                timeout=_START_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise errors.CloudError(f"the VM's processes did not start within {_START_SECONDS} s") from error
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise errors.CloudError(f"the VM's processes did not start: {' / '.join(said[-_LINES:]) or done.returncode}")

    def kill(self) -> None:
        """Returns when all are gone; none is fine. Raises CloudError if one cannot be killed."""

        def gone() -> bool:
            if not self.alive() and not self._marked():
                return True
            self._signal_all()
            return not self.alive() and not self._marked()

        wait_until(
            gone,
            f"the processes of the VM in {self._folder} were killed and stay",
            deadline_seconds=_STOP_SECONDS,
            first_pause_seconds=0.005,
        )

    def pids(self) -> list[int]:
        """Who holds the lock, shares the mounts of those, or shows the VM's mark. Linux only; elsewhere the group's first."""
        if not Path("/proc/self/fdinfo").exists():
            return self._group()
        try:
            lock = self._lock.stat()
        except FileNotFoundError:
            return []
        pids = [pid for pid in _all_pids() if pid != os.getpid()]
        holders = [pid for pid in pids if _holds(pid, lock)]
        # one that daemonised has closed the lock and left the group, but not the mounts
        spaces = {_mounts(pid) for pid in holders} - {_mounts(os.getpid()), ""}
        marked = set(self._marked())
        return [pid for pid in pids if pid in holders or pid in marked or (spaces and _mounts(pid) in spaces)]

    def _marked(self) -> list[int]:
        """Who is in the VM's mount namespace, though no process of it may hold the lock any more."""
        if not (self._folder / "mark").exists():
            return []
        from cpi_drivers.local.agent.namespace import name_of_mark

        mark = name_of_mark(str(self._folder)).encode()
        return [pid for pid in _all_pids() if pid != os.getpid() and mark in _mount_table(pid)]

    def _signal_all(self) -> None:
        for pid in self.pids():
            # the group too: a process in it may have closed the lock
            with contextlib.suppress(ProcessLookupError):
                os.killpg(os.getpgid(pid), signal.SIGKILL)

    def _group(self) -> list[int]:
        try:
            text = self._lock.read_text(encoding="ascii").strip()
        except (FileNotFoundError, ValueError):
            return []
        # 0 and 1 would be this process's own group, and everybody's
        return [int(text)] if text.isdecimal() and int(text) > 1 else []


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - names are all that is wanted


def _mount_table(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/mountinfo").read_bytes()
    except OSError:
        return b""


def _mounts(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115 - a name, no file
    except OSError:
        return ""


def _holds(pid: int, lock: os.stat_result) -> bool:
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                if os.readlink(entry.path).endswith("/agent.lock") and os.path.samestat(entry.stat(), lock):  # noqa: PTH115 - many files
                    # whoever only asks if the VM lives has the file open too, without this lock
                    return "FLOCK  ADVISORY  WRITE" in Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text(encoding="utf-8")
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ESRCH, errno.EACCES, errno.EPERM}:
            raise
    return False
