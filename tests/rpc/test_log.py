"""What is told beside the answer, and what is not."""

import fcntl
import json
import os
import subprocess
from pathlib import Path

from tests.rpc.executable import PASSWORD, Executable, request, valid


def test_secrets_show_neither_in_the_answer_nor_on_stderr(executable: Executable) -> None:
    """A driver that puts its password into what it says is not repeated."""
    executable.configure(
        misbehave={"has_vm": "fail", "create_disk": "refuse", "delete_disk": "speak"}, properties={"debug": True}
    )
    quoted = json.dumps(PASSWORD)[1:-1]
    for ran in (
        executable.call("has_vm", "vm-1"),
        executable.call("create_disk", 1, {}),
        executable.call("delete_disk", "disk-1"),
    ):
        shown = ran.stderr + ran.response["log"] + json.dumps(ran.response["error"])
        assert "<redacted>" in shown
        assert PASSWORD not in shown
        assert quoted not in shown
        assert repr(PASSWORD)[1:-1] not in shown


def test_a_password_laid_over_by_the_context_does_not_show_either(executable: Executable) -> None:
    """It comes with the request, not with the configuration."""
    executable.configure(misbehave={"create_disk": "refuse"})
    ran = executable.call("create_disk", 1, {}, context={"password": "of-this-call"})
    assert ran.response["error"]["message"] == "the cloud refused <redacted>"


def test_an_unforeseen_failure_has_its_trace_in_the_log_only(executable: Executable) -> None:
    """The message says what, stderr says where."""
    executable.configure(misbehave={"has_vm": "fail"})
    ran = executable.call("has_vm", "vm-1")
    assert ran.response["error"]["type"] == "Bosh::Clouds::CloudError"
    assert "RuntimeError: the login with <redacted> failed" in ran.response["error"]["message"]
    assert "Traceback" not in ran.response["error"]["message"]
    assert "Traceback (most recent call last)" in ran.stderr


def test_every_line_of_the_log_carries_the_request(executable: Executable) -> None:
    """INFO and above of everybody, warnings too; each line once, for a director writes stderr and `log` to one file."""
    executable.configure(misbehave={"has_vm": "speak"})
    ran = executable.call("has_vm", "vm-1", context={"request_id": "cpi-314159"})
    lines = ran.stderr.splitlines()
    assert len(set(lines)) == len(lines)
    assert ran.response["log"] == ""
    assert [line for line in lines if "[req_id cpi-314159]" not in line] == []
    assert [text for text in ("at the cloud, ? \\x1b[31m", "an SDK warns", "is deprecated") if text not in ran.stderr] == []
    assert "a detail" not in ran.stderr


def test_debug_shows_the_request_masked_and_no_sdk_at_work(executable: Executable) -> None:
    """cloud.properties.debug."""
    executable.configure(misbehave={"delete_disk": "speak"}, properties={"debug": True})
    assert "an SDK shows" not in executable.call("delete_disk", "disk-1").stderr
    log = executable.call("create_disk", 1, {"kms_key": "shown", "secret_word": "hidden-one"}).stderr
    assert "'kms_key': 'shown', 'secret_word': '<redacted>'" in log


def _without_stderr(executable: Executable) -> str:
    """The log of a call whose stderr cannot be written."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            executable.command, input=request("has_vm", "vm-1"), stdout=subprocess.PIPE, stderr=full, check=True
        )
    return str(valid(done.stdout)["log"])


def test_what_stderr_cannot_take_is_in_the_answer(executable: Executable) -> None:
    """Nothing is lost."""
    executable.configure(misbehave={"has_vm": "speak"})
    log = _without_stderr(executable)
    assert [text for text in ("at the cloud", "an SDK warns", "has_vm took") if text not in log] == []


def test_a_line_that_stderr_took_in_part_is_in_the_answer(executable: Executable) -> None:
    """A pipe that is not read takes the beginning of a long line."""
    executable.configure(properties={"debug": True})
    reading, writing = os.pipe()
    try:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(writing, False)
        done = subprocess.run(
            executable.command, input=request("has_vm", "v" * 6_000), stdout=subprocess.PIPE, stderr=writing, check=True
        )
        taken = os.read(reading, 8_192).decode()
    finally:
        os.close(reading)
        os.close(writing)
    assert "vvv" in taken
    assert "v" * 6_000 not in taken
    assert "v" * 6_000 in valid(done.stdout)["log"]


def test_a_log_that_is_too_long_loses_its_middle(executable: Executable) -> None:
    """What went before and how it ended are what is looked for."""
    executable.configure(misbehave={"has_vm": "speak much"})
    log = _without_stderr(executable)
    assert len(log) < 300_000
    assert "line 0 " in log
    assert "line 19999 " in log
    assert "lines left out" in log


def test_a_request_cannot_write_lines_of_its_own(executable: Executable) -> None:
    """Its id comes from outside."""
    executable.configure(misbehave={"has_vm": "speak"})
    ran = executable.call("has_vm", "vm-1", context={"request_id": "cpi-1]\n2026 ERROR [req_id cpi-2"})
    assert [line for line in ran.stderr.splitlines() if "[req_id cpi-1]\\x0a2026" not in line] == []


def test_a_refusal_is_told_in_one_line(executable: Executable) -> None:
    """By its class and message; the trace only for details' sake."""
    ran = executable.call("detach_disk", "vm-1", "disk-1")
    assert "detach_disk: DiskNotAttached: disk-1 is not attached to vm-1" in ran.stderr
    assert "Traceback" not in ran.stderr
