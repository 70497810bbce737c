"""An answer on the wire is checked as strictly as the director does it."""

import json
import stat
import sys
from pathlib import Path

import pytest

from cpi.testing.wire import Answer, Wire

GOOD = {"result": 1, "error": None, "log": ""}


@pytest.mark.parametrize(
    "stdout",
    [
        b"",
        b"[]",
        b'warning: old library\n{"result": 1, "error": null, "log": ""}',
        json.dumps({**GOOD, "log": None}).encode(),
        json.dumps({"result": 1, "log": ""}).encode(),
        json.dumps({**GOOD, "error": "text"}).encode(),
        json.dumps({**GOOD, "error": {"type": "T", "message": "m"}}).encode(),
        json.dumps({**GOOD, "error": {"type": "T", "message": "m", "ok_to_retry": 0}}).encode(),
    ],
    ids=["empty", "a list", "an extra line", "null log", "no error", "a text", "no ok_to_retry", "a number"],
)
def test_what_a_director_refuses_is_refused(stdout: bytes) -> None:
    """Each of these ends a task there."""
    with pytest.raises((AssertionError, ValueError)):
        _ = Answer(0, stdout, "").document


def test_a_success_has_a_result_and_no_error() -> None:
    """Nor is one taken for the other."""
    answer = Answer(0, json.dumps(GOOD).encode(), "")
    assert answer.result == 1
    with pytest.raises(AssertionError, match="succeeded"):
        _ = answer.error


def test_a_failure_has_an_error_and_no_result() -> None:
    """Nor is one taken for the other."""
    error = {"type": "T", "message": "m", "ok_to_retry": False}
    answer = Answer(0, json.dumps({**GOOD, "error": error}).encode(), "")
    assert answer.error == error
    with pytest.raises(AssertionError, match="'message': 'm'"):
        _ = answer.result


def test_the_executable_gets_the_request_and_the_directors_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The method, the arguments, a context, and nothing of this process's environment."""
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "x")
    echo = tmp_path / "echo"
    echo.write_text(
        f"#!{sys.executable} -I\nimport json, os, sys\nrequest = json.load(sys.stdin)\n"
        "print(json.dumps({'result': [request, sorted(os.environ)], 'error': None, 'log': ''}))\n"
    )
    echo.chmod(stat.S_IRWXU)
    request, environment = Wire([str(echo)]).call("has_vm", "vm-1", api_version=None, context={"token": "t"}).result
    assert request == {
        "method": "has_vm",
        "arguments": ["vm-1"],
        "context": {"director_uuid": "d-suite", "request_id": "cpi-123456", "token": "t"},
    }
    assert set(environment) - {"LC_CTYPE"} == {"HOME", "PATH", "TMPDIR"}
