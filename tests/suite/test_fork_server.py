"""A forked start is to its caller and to its program what a cold one is."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cpi.kit.waiting import wait_until
from cpi.rpc import child
from cpi.testing.fork_server import ForkedProcess, ForkServer, ForkServerEnded, fork_server

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0
DIRECTORS = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp"}  # noqa: S108 - nothing is written there


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """One that has learned from a start."""
    with fork_server(learn_from=1) as made:
        assert ran(made, "tell", environment={}).exit_status == 0
        yield made


@pytest.fixture
def fresh() -> Iterator[ForkServer]:
    """One for a test that ends it."""
    with fork_server(learn_from=0) as made:
        yield made


def program(*arguments: str) -> list[str]:
    """What is started."""
    return [sys.executable, "-m", "tests.suite.started", *arguments]


def ran(
    server: ForkServer | None, *arguments: str, data: bytes = b"", environment: dict[str, str] | None = None
) -> child.Outcome:
    """One start to its end; without a server a cold one."""
    start = server.start if server else child.start
    return child.run(program(*arguments), data, environment, deadline_seconds=SECONDS, grace_seconds=SECONDS, start=start)


def told(server: ForkServer | None, *arguments: str, environment: dict[str, str] | None = None) -> Any:
    """What it prints."""
    outcome = ran(server, *arguments, environment=environment)
    assert outcome.exit_status == 0, outcome
    return json.loads(outcome.stdout)


@contextlib.contextmanager
def waiting(server: ForkServer, what: str = "wait") -> Iterator[ForkedProcess]:
    """One that waits for a signal; killed at the end of the block."""
    with server.start(program(what)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield process
        finally:
            process.kill()


def is_there(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def wait_until_gone(*pids: int) -> None:
    """All of them."""
    wait_until(lambda: not any(is_there(pid) for pid in pids), "they are gone", deadline_seconds=SECONDS)


@pytest.mark.parametrize(
    "environment", [DIRECTORS, {**DIRECTORS, "LANG": "C.UTF-8", "TZ": "Asia/Tokyo"}], ids=["director", "own"]
)
def test_a_program_finds_what_it_finds_at_a_cold_start(server: ForkServer, environment: dict[str, str]) -> None:
    """Arguments, environment, folder, search path, session, handlers, streams, descriptors: 0, 1 and 2 alone."""
    forked, cold = (told(by, "tell", "an argument", environment=environment) for by in (server, None))
    assert forked == cold
    assert forked["descriptors"] == [0, 1, 2]
    assert forked["argv"][1:] == ["tell", "an argument"]


def test_the_folder_is_the_callers_or_the_one_that_is_named(
    server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the one in which the server was started."""
    with server.start([sys.executable, "-m", "site"], {**DIRECTORS, "PYTHONPATH": "x"}, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert f"{str(tmp_path)!r}," in process.stdout.read().decode()
    monkeypatch.chdir(tmp_path)
    outcome = child.run(
        [sys.executable, "-m", "site"], b"", None, deadline_seconds=SECONDS, grace_seconds=SECONDS, start=server.start
    )
    assert f"{str(tmp_path)!r}," in outcome.stdout.decode()


@pytest.mark.parametrize(("arguments", "status"), [(["exit", "0"], 0), (["exit", "3"], 3), (["fail"], 1)])
def test_the_exit_status_is_the_programs(server: ForkServer, arguments: Sequence[str], status: int) -> None:
    """An error that is not caught is shown on stderr."""
    outcome = ran(server, *arguments)
    assert outcome.exit_status == status
    assert (b"LookupError: nothing here" in outcome.stderr) == (arguments == ["fail"])


def test_the_interpreter_ends_as_ever(server: ForkServer) -> None:
    """What is buffered is written, and threads are waited for."""
    assert ran(server, "print", "buffered").stdout == b"buffered"
    assert ran(server, "leave a thread").stdout == b"late\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP])
def test_a_signal_ends_it_as_it_ends_a_cold_one(server: ForkServer, number: signal.Signals) -> None:
    """By its own handling or the interpreter's; the server and its other children go on."""
    with waiting(server) as other:
        with waiting(server) as process:
            process.send_signal(number)
            status = process.wait(SECONDS)
        with subprocess.Popen(program("wait"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as cold:
            assert cold.stdout is not None
            assert cold.stdout.readline() == b"ready\n"
            cold.send_signal(number)
            assert status == cold.wait(SECONDS)
        assert other.poll() is None


def test_one_that_passes_over_a_signal_is_killed_after_the_grace(server: ForkServer) -> None:
    """As ExternalCloud does at its deadline."""
    outcome = child.run(program("wait deaf"), b"", None, deadline_seconds=3, grace_seconds=0.2, start=server.start)
    assert (outcome.ended, outcome.exit_status) == ("late", None)


def test_a_killed_child_is_told_and_its_number_is_not_used_again_before(server: ForkServer) -> None:
    """A signal to one that has ended, though nobody saw it, hurts no other process."""
    with waiting(server) as process:
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: not is_there(process.pid), "it is dead", deadline_seconds=SECONDS)
        assert Path(f"/proc/{process.pid}").exists(), "a number that is kept"
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == -signal.SIGKILL
    wait_until(lambda: not Path(f"/proc/{process.pid}").exists(), "it is reaped", deadline_seconds=SECONDS)


def test_more_than_a_pipe_holds_is_read_and_written(server: ForkServer) -> None:
    """Both outputs at once, and the input."""
    size = 3 << 20
    outcome = ran(server, "write", str(size))
    assert (len(outcome.stdout), len(outcome.stderr)) == (size, size)
    assert ran(server, "read", data=bytes(size)).stdout == f"{size}\n".encode()


def test_input_that_ends_early_ends_the_program_too(server: ForkServer) -> None:
    """None of the server's children holds another's pipe open."""
    with waiting(server), server.start(program("read")) as process, waiting(server):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        assert process.stdout.read() == b"0\n"
        assert process.wait(SECONDS) == 0


def test_a_program_that_does_not_read_breaks_its_callers_pipe(server: ForkServer) -> None:
    """It is no fault: what it answers decides."""
    assert ran(server, "exit", "0", data=bytes(3 << 20)).exit_status == 0


def test_descriptors_that_are_given_are_the_childs(server: ForkServer, tmp_path: Path) -> None:
    """A file to write to instead of a pipe."""
    with (tmp_path / "said").open("wb") as said:
        process = server.start(program("print", "buffered"), stdin=subprocess.DEVNULL, stdout=said.fileno())
        with process:
            assert (process.stdin, process.stdout) == (None, None)
    assert (tmp_path / "said").read_bytes() == b"buffered"


def test_two_children_share_nothing(server: ForkServer) -> None:
    """No random numbers, names or ids; nor does one see what another has imported."""
    first, second = (told(server, "draw") for _ in range(2))
    assert [number for number in first if number in second] == []
    assert ran(server, "import", "this").stdout.endswith(b"true\n")
    assert told(server, "imported", "this") == [False]


def test_many_at_once_are_kept_apart(server: ForkServer) -> None:
    """Each answer comes to the one that asked."""
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda number: ran(server, "exit", str(number)).exit_status, range(40)))
    assert statuses == list(range(40))


def test_what_one_start_imports_the_next_finds_imported() -> None:
    """From as many starts as were said, also from two that run at once; a module that cannot be imported is none."""
    with fork_server(learn_from=2) as server:
        ran(server, "import", "colorsys")
        assert ran(server, "import", "no_such_module").exit_status == 1
        wait_until(lambda: told(server, "imported", "colorsys") == [True], "it is learned", deadline_seconds=SECONDS)
        ran(server, "import", "sndhdr" if sys.version_info < (3, 13) else "this")
        assert told(server, "imported", "colorsys", "this", "sndhdr") == [True, False, False]


def test_a_server_with_threads_forks_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that a thread holds would be held in the child for ever."""
    (tmp_path / "threaded.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with fork_server(learn_from=1) as server:
        ran(server, "import", "threaded")
        with pytest.raises(ForkServerEnded, match="2 threads run in it"):
            wait_until(lambda: ran(server, "exit", "0").exit_status, "it refuses", deadline_seconds=SECONDS)


def test_only_modules_of_this_interpreter_are_started(server: ForkServer) -> None:
    """Anything else would not be what was asked for."""
    with pytest.raises(ValueError, match="and not /bin/true"):
        server.start(["/bin/true"])


def test_a_server_that_is_killed_takes_its_children_along_and_says_so(fresh: ForkServer) -> None:
    """Whoever waits for a child is told, and whoever asks for another."""
    with waiting(fresh) as process:
        os.kill(fresh.pid, signal.SIGKILL)
        wait_until_gone(process.pid)
        with pytest.raises(ForkServerEnded, match="that one with it"):
            process.wait(SECONDS)
    with pytest.raises(ForkServerEnded, match="ended with status -9"):
        fresh.start(program("exit", "0"))


def test_nothing_runs_after_the_end(fresh: ForkServer) -> None:
    """Though a child was left running, as by a test that failed."""
    process = fresh.start(program("wait deaf"))
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    fresh.end()
    wait_until_gone(process.pid, fresh.pid)
    with pytest.raises(ForkServerEnded), process:
        pass


_LEAVES = """
import os, sys
sys.path.insert(0, {root!r})
from tests.suite.test_fork_server import program
from cpi.testing.fork_server import ForkServer
server = ForkServer(learn_from=0)
process = server.start(program("wait deaf"))
process.stdout.readline()
print(server.pid, process.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_nothing_runs_after_its_owner_was_killed() -> None:
    """A test process that dies can end nothing itself."""
    with subprocess.Popen(
        [sys.executable, "-c", _LEAVES.format(root=str(ROOT))], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as owner:
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.readline().split()]
    assert len(pids) == 2
    wait_until_gone(*pids)


def test_a_caller_that_goes_away_leaves_its_child_running_and_the_server_idle(fresh: ForkServer) -> None:
    """As a real one would run on; the server waits, and is not busy with the closed channel."""
    process = fresh.start(program("wait deaf"))
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process._channel.close()
    assert ran(fresh, "exit", "5").exit_status == 5
    used = _cpu_ticks(fresh.pid)
    time.sleep(1)
    assert _cpu_ticks(fresh.pid) - used < 20
    assert is_there(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{process.pid}").exists(), "it is reaped", deadline_seconds=SECONDS)
    for pipe in (process.stdin, process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()


def _cpu_ticks(pid: int) -> int:
    words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(words[11]) + int(words[12])
