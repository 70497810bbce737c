"""Being told to stop in the middle of a call: what was made is undone, and an answer follows."""

import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.rpc.executable import Executable, ServedExecutable, request, valid


@pytest.fixture(params=["executable", "served"])
def executable(request: pytest.FixtureRequest) -> Iterator[Executable]:
    """Started for the call, or its calls made by a process that is ready."""
    found: Executable = request.getfixturevalue(request.param)
    yield found
    if isinstance(found, ServedExecutable):
        assert found.warm_calls()


def _started(executable: Executable, data: bytes) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(executable.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(data)
    process.stdin.close()
    process.stdin = None
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_undoes_what_was_made_and_is_answered(executable: Executable, number: signal.Signals) -> None:
    """The caller learns that it was interrupted, and nothing is left."""
    executable.configure(misbehave={"create_disk": "wait"})
    with _started(executable, request("create_disk", 1024, {})) as process:
        try:
            executable.wait_for("waiting")
            process.send_signal(number)
            stdout, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    error = valid(stdout)["error"]
    assert error["type"] == "Bosh::Clouds::CloudError"
    assert f"create_disk was interrupted by {number.name}; everything it created was removed" in error["message"]
    assert not (executable.folder / "thing").exists()
    assert executable.calls()[-1]["method"] == "close"
    assert process.returncode == 0


def test_a_second_signal_does_not_break_the_undoing(executable: Executable) -> None:
    """Whoever is impatient must not leave half of it behind."""
    executable.configure(misbehave={"create_disk": "undo slowly"})
    with _started(executable, request("create_disk", 1024, {})) as process:
        try:
            executable.wait_for("waiting")
            for name in ("second.going", "first.going"):
                process.terminate()
                executable.wait_for(name)
            process.terminate()
            stdout, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "interrupted by SIGTERM" in valid(stdout)["error"]["message"]
    assert not (executable.folder / "first").exists()
    assert not (executable.folder / "second").exists()


def test_a_signal_while_undoing_an_ordinary_failure_does_not_break_it(executable: Executable) -> None:
    """The failure is answered as it was."""
    executable.configure(misbehave={"create_disk": "fail and undo slowly"})
    with _started(executable, request("create_disk", 1024, {})) as process:
        try:
            executable.wait_for("first.going")
            process.terminate()
            stdout, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert valid(stdout)["error"] == {"type": "Bosh::Clouds::VMCreationFailed", "message": "no room", "ok_to_retry": True}
    assert not (executable.folder / "first").exists()
