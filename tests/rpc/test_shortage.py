"""Too much input, too little memory, too few descriptors, too early a signal: one valid document, or nothing done."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

from tests.rpc.executable import ROOT, Executable, request, valid

_MANY = 1_300_000

_SIGNALLED = """
import os, runpy, signal, sys

wanted, number = sys.argv[1], int(sys.argv[2])
sys.argv[1:3] = []

class Signaller:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            os.kill(os.getpid(), number)

sys.meta_path.insert(0, Signaller())
runpy.run_module("cpi", run_name="__main__", alter_sys=True)
"""


def _limited(
    executable: Executable, data: bytes, limit: int, value: int, python: Sequence[str] = (sys.executable,)
) -> "subprocess.CompletedProcess[bytes]":
    command = [*executable.command[:2], *python, *executable.command[3:]]
    return subprocess.run(
        command,
        input=data,
        capture_output=True,
        check=False,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(limit, (value, value)),
    )


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ("[" + "[]," * _MANY + "[]]", "the request contains more than 50000 values"),
        (
            "{" + ",".join(f'"password{number}":"secret-{number}"' for number in range(60_000)) + "}",
            "contains more than 50000 values",
        ),
        ("[" * 90 + "1," * 60_000 + "1" + "]" * 90, "contains more than 50000 values"),
        ('"' + "x" * 2**22 + '"', "the request is larger than 4194304 bytes"),
    ],
    ids=["lists", "secrets", "deep", "long"],
)
def test_a_request_that_is_too_large_is_refused_as_that(executable: Executable, arguments: str, fault: str) -> None:
    """Before anything is made of it: each value costs again wherever it is looked at."""
    ran = executable.run(
        b'{"method":"has_disk","arguments":[' + arguments.encode() + b'],"context":{}}', "rpc", "--config", str(executable.config)
    )
    assert fault in ran.response["error"]["message"]
    assert "secret-1" not in ran.stderr
    assert executable.calls() == []


def test_a_request_for_which_there_is_no_memory_is_answered(executable: Executable) -> None:
    """The limit is one that a call of ordinary size fits in."""
    large = b'{"method":"has_disk","arguments":[' + b"[]," * _MANY + b'[]],"context":{}}'
    done = _limited(executable, large, resource.RLIMIT_AS, 70 * 2**20)
    assert "for the call: MemoryError" in valid(done.stdout)["error"]["message"]
    assert b"Traceback" not in done.stderr
    assert valid(_limited(executable, request("info"), resource.RLIMIT_AS, 70 * 2**20).stdout)["error"] is None


@pytest.mark.parametrize("count", [4, 5, 6])
@pytest.mark.parametrize("method", ["info", "has_disk"])
def test_with_hardly_a_descriptor_there_is_an_answer(executable: Executable, count: int, method: str) -> None:
    """With four, Python itself can start only without the packages that are installed."""
    arguments = [] if method == "info" else ["disk-1"]
    python = [sys.executable, *(["-S"] if count == 4 else [])]
    done = _limited(executable, request(method, *arguments), resource.RLIMIT_NOFILE, count, python)
    error = valid(done.stdout)["error"]
    assert error is None if count > 4 else "open files" in error["message"] or "no room" in error["message"]
    assert done.returncode == 0


@pytest.mark.parametrize(
    "failing", [MemoryError(), RecursionError("deep"), OSError(24, "Too many open files"), ImportError("dispatcher")], ids=repr
)
def test_what_keeps_a_call_from_being_begun_is_answered(
    executable: Executable, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], failing: Exception
) -> None:
    """Whichever of them it is."""
    from cpi.rpc import process

    def fail(*_: object) -> None:
        raise failing

    written: list[bytes] = []
    monkeypatch.setattr(process, "_read_request", lambda: request("has_disk", "disk-1"))
    monkeypatch.setattr(process, "_dispatch", fail)
    monkeypatch.setattr(process, "_guard_stdout", lambda: 1)
    monkeypatch.setattr(process, "_write", lambda _, data: written.append(data))
    assert process.serve(["--config", str(executable.config)]) == 0
    assert f"for the call: {type(failing).__name__}" in valid(written[0])["error"]["message"]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["cpi.rpc", "cpi.rpc.process", "cpi.config", "cpi.rpc.dispatcher"])
def test_a_signal_that_comes_early_ends_the_call_without_a_trace(
    executable: Executable, module: str, number: signal.Signals
) -> None:
    """Nothing was done yet, so there is nothing to undo; the loading of a module is no news for a log."""
    done = _signalled(module, number, ["rpc", "--config", str(executable.config)], request("has_disk", "disk-1"))
    assert done.returncode == -number
    assert (done.stdout, done.stderr) == (b"", b"")


def test_a_signal_while_a_command_is_loaded_ends_it_without_a_trace() -> None:
    """Ctrl-C right after the start; later ones are the command's own."""
    done = _signalled("typer", signal.SIGINT, ["drivers"], b"")
    assert done.returncode == -signal.SIGINT
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.parametrize(("wanted", "found"), [(signal.SIG_IGN, signal.SIG_IGN), (signal.SIG_DFL, signal.default_int_handler)])
def test_an_interrupt_that_is_ignored_stays_ignored(
    monkeypatch: pytest.MonkeyPatch, wanted: signal.Handlers, found: Callable[..., object]
) -> None:
    """As under nohup; where it is not, a command gets KeyboardInterrupt as ever."""
    from cpi import __main__
    from cpi.cli import app

    seen: list[object] = []
    monkeypatch.setattr(app, "run", lambda: seen.append(signal.getsignal(signal.SIGINT)))
    monkeypatch.setattr(sys, "argv", ["cpi", "drivers"])
    before = signal.signal(signal.SIGINT, wanted)
    try:
        __main__.main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [found]


def _signalled(module: str, number: int, arguments: list[str], data: bytes) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-c", _SIGNALLED, module, str(int(number)), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, input=data, env=environment, capture_output=True, check=False, timeout=120)
