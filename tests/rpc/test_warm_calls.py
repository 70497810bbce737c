"""Calls made by `cpi serve`: nothing differs from a start but the time, and whatever is odd is done by a start."""

import concurrent.futures
import contextlib
import importlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cpi.rpc.warm import freshness, launcher, starting
from cpi.rpc.warm.freshness import Freshness
from tests.rpc.executable import ROOT, Executable, ServedExecutable, can_connect, request, valid
from tests.rpc.test_signals import _started


def _until(happened: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def _is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _restrict() -> None:
    os.umask(0o027)
    resource.setrlimit(resource.RLIMIT_NOFILE, (99, 199))


def test_a_call_finds_what_a_start_finds(served: ServedExecutable, tmp_path: Path) -> None:
    """Folder, environment, limits, umask, time zone, arguments and descriptors."""
    served.configure(misbehave={"ping": "look around"})
    (tmp_path / "elsewhere").mkdir()
    found = []
    for _ in range(2):
        variables = {**os.environ, "PYTHONPATH": f"{served.plugins}{os.pathsep}{ROOT}", "TZ": "Asia/Tokyo", "odd\udcff": "\udcfe"}
        done = subprocess.run(
            [sys.executable, "-m", "cpi", "rpc", "--config", str(served.config)],
            input=request("ping"),
            env=variables,
            cwd=tmp_path / "elsewhere",
            preexec_fn=_restrict,
            capture_output=True,
            check=True,
            timeout=120,
        )
        assert valid(done.stdout)["result"] == "pong", done.stderr
        found.append(json.loads((tmp_path / "surroundings.json").read_text()))
        if len(found) == 1:
            assert served.warm_calls()
            served.close()
    warm, cold = found
    assert warm == cold
    assert warm["zone"] == "JST"
    assert warm["cwd"] == str(tmp_path / "elsewhere")


def test_bytes_and_status_are_those_of_a_start(served: ServedExecutable) -> None:
    """For results, errors, bad requests and info."""
    inputs = [request("ping"), request("detach_disk", "vm-1", "disk-1"), request("info"), b"{", request("nonsense")]
    arguments = ("rpc", "--config", str(served.config))
    warm = [served.run(data, *arguments) for data in inputs]
    assert served.warm_calls()
    served.close()
    cold = [served.run(data, *arguments) for data in inputs]
    for one, other in zip(warm, cold, strict=True):
        assert {**one.response, "log": ""} == {**other.response, "log": ""}
        assert one.exit_status == other.exit_status
        assert len(one.stderr.splitlines()) == len(other.stderr.splitlines())


def test_a_caller_that_is_killed_ends_its_call(served: ServedExecutable) -> None:
    """As if the call itself had been killed."""
    served.configure(misbehave={"create_disk": "wait"})
    server = served.servers[served.folder]
    with _started(served, request("create_disk", 1024, {})) as caller:
        served.wait_for("waiting")
        (child,) = _children(server.pid)
        caller.kill()
        _until(lambda: not _is_there(child), "the call went on")
    assert (served.folder / "thing").exists()
    assert served.call("has_vm", "vm-1").response["result"] is True


def test_a_call_that_is_killed_ends_its_caller_by_the_same_signal(served: ServedExecutable) -> None:
    """The director sees what it would see of a start."""
    served.configure(misbehave={"create_disk": "wait"})
    server = served.servers[served.folder]
    with _started(served, request("create_disk", 1024, {})) as caller:
        served.wait_for("waiting")
        os.kill(_children(server.pid)[0], signal.SIGKILL)
        assert caller.wait(60) == -signal.SIGKILL


def test_a_call_outlives_its_server(served: ServedExecutable) -> None:
    """And is answered; the next one is started cold."""
    served.configure(misbehave={"create_disk": "wait"})
    server = served.servers[served.folder]
    with _started(served, request("create_disk", 1024, {})) as caller:
        served.wait_for("waiting")
        server.kill()
        server.wait(60)
        caller.terminate()
        stdout, _ = caller.communicate(timeout=60)
    assert "interrupted by SIGTERM" in valid(stdout)["error"]["message"]
    assert not (served.folder / "thing").exists()
    assert caller.returncode == 0
    assert served.call("has_vm", "vm-1").response["result"] is True


def test_a_server_that_is_told_to_end_lets_calls_end(served: ServedExecutable) -> None:
    """It takes no more, and goes once the last is answered."""
    served.configure(misbehave={"create_disk": "wait"})
    server = served.servers[served.folder]
    with _started(served, request("create_disk", 1024, {})) as caller:
        served.wait_for("waiting")
        server.terminate()
        where = str(launcher.socket_path(str(served.config)))
        _until(lambda: not can_connect(where), "it still takes calls")
        assert server.poll() is None
        caller.terminate()
        stdout, _ = caller.communicate(timeout=60)
    assert "interrupted by SIGTERM" in valid(stdout)["error"]["message"]
    assert server.wait(60) == 0


def test_a_configuration_that_is_written_anew_is_no_longer_served(served: ServedExecutable) -> None:
    """The next call is a start, with the new one."""
    before = served.warm_calls()
    Executable.configure(served, misbehave={"ping": "refuse"})
    assert served.call("ping").response["error"]["type"] == "Bosh::Clouds::CloudError"
    assert served.warm_calls() == before == 0


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One that lies in the folder that packages are installed in, for long: longer than this process runs."""
    monkeypatch.setattr(freshness, "_start_of_process_ns", lambda: time.time_ns() + 3600 * 10**9)  # whatever other tests loaded
    packages = tmp_path / "site-packages"
    packages.mkdir()
    path = packages / "loaded_for_a_test.py"
    path.write_text("")
    for old in (path, packages):
        os.utime(old, (1, 1))
    monkeypatch.syspath_prepend(packages)
    yield path
    sys.modules.pop("loaded_for_a_test", None)


@pytest.mark.parametrize("change", ["written", "deleted", "installed"])
def test_code_that_changed_is_seen(tmp_path: Path, module: Path, change: str) -> None:
    """A module that is loaded, and the folder that packages are installed in."""
    importlib.import_module("loaded_for_a_test")
    fresh = Freshness(str(tmp_path / "cpi.json"))
    assert not fresh.is_lost()
    if change == "written":
        module.write_text("changed = True")
    elif change == "deleted":
        module.unlink()
    else:
        (module.parent / "another.py").touch()
    assert fresh.is_lost()


def test_a_change_before_more_was_loaded_is_not_forgotten(tmp_path: Path, module: Path) -> None:
    """What a call imported is taken in beside it."""
    fresh = Freshness(str(tmp_path / "cpi.json"))
    (module.parent / "another.py").touch()
    importlib.import_module("loaded_for_a_test")
    fresh.take_in(time.time_ns())
    assert fresh.is_lost()


def test_a_file_that_is_written_while_it_is_loaded_counts_as_changed(tmp_path: Path, module: Path) -> None:
    """It may have been loaded before or after."""
    fresh = Freshness(str(tmp_path / "cpi.json"))
    began = time.time_ns()
    importlib.import_module("loaded_for_a_test")
    facts = module.parent.stat()
    module.write_text("changed = True")
    os.utime(module.parent, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    fresh.take_in(began)
    assert fresh.is_lost()


def test_a_server_whose_code_changed_ends(served: ServedExecutable) -> None:
    """Also code that it learned from a call: the next call is made by a start, and the server goes."""
    module = served.plugins / "needed_by_a_call.py"
    module.write_text("")
    os.utime(module, (1, 1))
    served.configure(misbehave={"ping": "import"})
    server = served.servers[served.folder]
    assert served.call("ping").response["result"] == "pong"
    _until(lambda: not _children(server.pid), "the call does not end")
    assert served.warm_calls() == 2  # ping and close
    module.write_text("changed = True")
    assert served.call("ping").response["result"] == "pong"
    assert served.warm_calls() == 2
    assert server.wait(60) == 0


def test_an_open_folder_is_not_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Others could listen there."""
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    monkeypatch.setattr(launcher, "folder", lambda: str(folder))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, contextlib.chdir(folder):
        listener.bind("s")  # by its short name: a socket's path may be no longer than 107 bytes
        listener.listen()
        assert launcher._connected("s") is None
        folder.chmod(0o700)
        connection = launcher._connected("s")
        assert connection is not None
        connection.close()
    (tmp_path / "link").symlink_to(folder)
    assert not launcher.is_private(str(tmp_path / "link"))


@pytest.mark.parametrize("different", ["PYTHONWARNINGS=default", "LANGUAGE=tlh", "nice"])
def test_what_a_child_cannot_take_over_is_done_by_a_start(served: ServedExecutable, different: str) -> None:
    """What an interpreter reads once, and what cannot be given back."""
    before = served.warm_calls()
    prefix = ["/usr/bin/nice", "-n", "3"] if different == "nice" else ["/usr/bin/env", different]
    done = subprocess.run([*prefix, *served.command], input=request("ping"), capture_output=True, check=True, timeout=120)
    assert valid(done.stdout)["result"] == "pong"
    _until(lambda: not _children(served.servers[served.folder].pid), "the child that refused stays")
    assert served.calls()[-1]["method"] == "close"
    assert served.warm_calls() == before


def test_an_idle_server_ends(served: ServedExecutable) -> None:
    """And leaves nothing."""
    served.close()
    server = served.serve(idle_seconds=0.5)
    assert server.wait(60) == 0
    where = str(launcher.socket_path(str(served.config)))
    assert not Path(where).exists()
    assert not Path(f"{where}.lock").exists()


def test_there_is_one_for_a_configuration(served: ServedExecutable) -> None:
    """A second one says so."""
    variables = {**os.environ, "PYTHONPATH": f"{served.plugins}{os.pathsep}{ROOT}"}
    command = starting.command(str(served.config), 60)
    second = subprocess.run(command, env=variables, capture_output=True, check=False, timeout=60)
    assert second.returncode == 1
    assert b"another process serves" in second.stderr
    assert served.call("ping").response["result"] == "pong"
    assert served.warm_calls()


def test_many_at_once(served: ServedExecutable) -> None:
    """All are answered, each its own question."""
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda number: served.call("has_vm", f"vm-{number}").response["result"], range(64)))
    assert answers == [number == 1 for number in range(64)]
    assert served.warm_calls()
    _until(lambda: not _children(served.servers[served.folder].pid), "some child stays")


def test_a_library_that_leaves_a_thread_does_not_hold_the_caller(served: ServedExecutable) -> None:
    """The caller's pipes are closed once the answer is written."""
    served.configure(misbehave={"ping": "leave a thread"})
    assert served.call("ping").response["result"] == "pong"
    assert served.warm_calls()


def test_a_configuration_may_wish_for_it(executable: Executable) -> None:
    """The first call is a start, and starts what makes the next one."""
    executable.configure(properties={"warm": {"idle": "20s"}})
    assert executable.call("ping").response["result"] == "pong"
    where = str(launcher.socket_path(str(executable.config)))
    _until(lambda: can_connect(where), "nothing was started")
    assert executable.call("ping").response["result"] == "pong"
    executable.config.unlink()  # it is stale from now on; whoever connects finds that out
    assert can_connect(where)
    _until(lambda: not can_connect(where), "it still listens")


def test_no_second_server_is_started_for_a_caller_whose_calls_are_refused(served: ServedExecutable) -> None:
    """Each of its calls would start one in vain."""
    assert not starting._is_served(f"{served.folder}/nothing.json")
    assert starting._is_served(str(served.config))
    served.servers[served.folder].kill()
    served.servers[served.folder].wait(60)
    assert not starting._is_served(str(served.config))


def test_an_error_that_nothing_foresaw_ends_the_child_alone(served: ServedExecutable) -> None:
    """The server and its socket stay; the call is made by a start."""
    served.close()
    raising = "lambda *_: 1 / 0"
    server = served.serve(
        script=f"import sys; from cpi.rpc.warm import call, server; call.make = {raising}; server.main(sys.argv[1:])"
    )
    for _ in range(2):
        assert served.call("ping").response["result"] == "pong"
    assert served.warm_calls() == 0
    assert can_connect(str(launcher.socket_path(str(served.config))))
    assert server.poll() is None


def test_a_wish_that_cannot_be_read_is_a_fault(executable: Executable) -> None:
    """With the whole key."""
    executable.configure(properties={"warm": {"idle": "soon"}})
    message = executable.call("ping").response["error"]["message"]
    assert "cloud.properties.warm: expected {idle: 10m} (s, m or h), got {'idle': 'soon'}" in message
