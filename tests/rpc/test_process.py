"""The executable as a process: one valid document and exit status 0, whatever comes in and whatever the driver does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.rpc.executable import ROOT, Executable, request, valid

BAD_REQUESTS = {
    "empty": (b"", "it is empty"),
    "blank": (b" \n", "it is empty"),
    "not UTF-8": (b'{"method": "\xff"}', "not UTF-8"),
    "NaN": (b'{"method": "info", "arguments": [NaN]}', "NaN is not a JSON number"),
    "Infinity": (b'{"method": "info", "arguments": [-Infinity]}', "-Infinity is not a JSON number"),
    "deeply nested": (b"[" * 100_000, "nested too deeply"),
    "nested as deeply as a parser bears": (b'{"method": ' + b"[" * 900 + b"]" * 900 + b"}", "nested too deeply"),
    "two documents": (request("info") * 2, "Extra data"),
    "truncated": (request("info")[:-5], "not one JSON document"),
    "byte order mark": (b"\xef\xbb\xbf" + request("info"), "BOM"),
    "no object": (b"[]", "expected an object, got an array"),
    "endless number": (b'{"method": ' + b"9" * 5000 + b"}", "not one JSON document"),
    "everything wrong": (
        b'{"method": null, "arguments": {}, "context": [], "api_version": true}',
        """  method: expected a string, got null
  arguments: expected an array, got an object
  context: expected an object, got an array
  api_version: expected a whole number, got a boolean""",
    ),
    "nothing there": (b"{}", "  method: expected a string, got nothing\n  arguments: expected an array, got nothing"),
    "half a character": (request("has_vm", "vm-\ud800"), r"the request holds \ud800, which is an unpaired surrogate"),
    "half a character as a key": (
        request("create_vm", {"bosh": {"x\udfff": 1}}),
        r"the request holds \udfff, which is an unpaired surrogate",
    ),
    "100 MB": (b" " * 100_000_000, "larger than 4194304 bytes"),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_bad_request_is_answered_with_its_fault(executable: Executable, name: str) -> None:
    """With exit status 0, and the same words on stderr."""
    data, fault = BAD_REQUESTS[name]
    ran = executable.run(data, "rpc", "--config", str(executable.config))
    assert ran.exit_status == 0
    assert ran.response["error"]["type"] == "Bosh::Clouds::CpiError"
    assert fault in ran.response["error"]["message"]
    assert ran.stderr == "".join(f"[req_id -] {line}\n" for line in ran.response["error"]["message"].splitlines())


BAD_CONFIGURATIONS: dict[str, tuple[Any, list[str]]] = {
    "not JSON": ("{", ["is not JSON"]),
    "no object": ([], ["expected an object, got list"]),
    "no plugin": ({}, ["cloud.plugin: expected the name of a driver"]),
    "unknown plugin": ({"cloud": {"plugin": "nimbus"}}, ["unknown driver 'nimbus'; known drivers: "]),
    "properties of the wrong type": (
        {"cloud": {"plugin": "scripted", "properties": []}},
        ["cloud.properties: expected an object"],
    ),
    "several faults around": (
        {"cloud": {"plugin": "scripted", "properties": {"scripted": [], "agent": 1, "strict_properties": "yes"}}},
        ["cloud.properties.scripted: expected", "strict_properties: expected true or false", "agent: expected an object"],
    ),
    "a version that is none": (
        {"cloud": {"plugin": "scripted", "properties": {"scripted": {"folder": "x"}, "debug": {"cpi": {"api_version": "new"}}}}},
        ["cloud.properties.debug.cpi.api_version: expected 1, 2 or 3, got 'new'"],
    ),
    "half a character": (
        {"cloud": {"plugin": "scripted", "properties": {"a": "\ud800"}}},
        [r"holds \ud800, which is an unpaired surrogate"],
    ),
    "several faults inside": (
        {"cloud": {"plugin": "scripted", "properties": {"scripted": {"foldr": "x", "password": 7}}}},
        ["foldr: unknown key; did you mean 'folder'?", "password: Expected `str`, got int", "folder: is missing"],
    ),
}


@pytest.mark.parametrize("formats_are_known", [True, False], ids=["before the driver is loaded", "by the driver"])
@pytest.mark.parametrize(("wished", "told"), [(1, 1), (2, 2), (3, 3), (4, 3), (None, 3)])
def test_the_configuration_lowers_the_version_that_info_tells(
    executable: Executable, wished: int | None, told: int, *, formats_are_known: bool
) -> None:
    """debug.cpi.api_version, as the official jobs have it."""
    plugin = "local" if formats_are_known else "scripted"
    properties = {plugin: {}, "debug": {"cpi": {"api_version": wished}}}
    executable.config.write_text(json.dumps({"cloud": {"plugin": plugin, "properties": properties}}))
    assert executable.call("info").response["result"]["api_version"] == told


@pytest.mark.parametrize("name", BAD_CONFIGURATIONS)
def test_a_bad_configuration_is_answered_with_all_its_faults(executable: Executable, name: str) -> None:
    """As a CpiError: never NotImplemented, which the director would pass over."""
    document, faults = BAD_CONFIGURATIONS[name]
    executable.config.write_text(document if isinstance(document, str) else json.dumps(document))
    ran = executable.call("info" if "version" in name else "has_vm", *(() if "version" in name else ("vm-1",)))
    assert ran.exit_status == 0
    assert ran.response["error"]["type"] == "Bosh::Clouds::CpiError"
    assert [fault for fault in faults if fault not in ran.response["error"]["message"]] == []


def test_a_missing_configuration_is_named(executable: Executable) -> None:
    """The path that was looked at."""
    data = request("info", context={"request_id": "cpi-314159"})
    ran = executable.run(data, "rpc", "--config", str(executable.folder / "none.json"))
    assert f"{executable.folder}/none.json does not exist" in ran.response["error"]["message"]
    assert ran.stderr.startswith("[req_id cpi-314159] ")


def test_a_configuration_that_cannot_be_read_is_named(executable: Executable) -> None:
    """A folder cannot be read even by root."""
    ran = executable.run(request("has_vm", "vm-1"), "rpc", "--config", str(executable.folder))
    assert f"{executable.folder} cannot be read" in ran.response["error"]["message"]


def test_a_wrong_argument_is_answered_too(executable: Executable) -> None:
    """The caller expects a document, even of a mistyped command."""
    ran = executable.run(request("info"), "rpc", "--confg", "x")
    assert "cpi rpc accepts only --config FILE" in ran.response["error"]["message"]
    assert ran.exit_status == 0


def test_bare_cpi_on_a_pipe_finds_its_configuration_in_the_environment(executable: Executable) -> None:
    """CPI_CONFIG."""
    ran = executable.run(request("info"), CPI_CONFIG=str(executable.config))
    assert ran.response["result"] == {"stemcell_formats": ["scripted-tar"], "api_version": 3}


@pytest.mark.parametrize("linked", [False, True])
def test_the_executable_finds_the_configuration_beside_itself(executable: Executable, tmp_path: Path, *, linked: bool) -> None:
    """As BOSH lays out a job: bin/cpi and config/cpi.json; also where bin/cpi is a link to there."""
    job = tmp_path / "job"
    (job / "bin").mkdir(parents=True)
    (job / "config").mkdir()
    executable.config.rename(job / "config" / "cpi.json")
    script = job / "bin" / "cpi"
    script.write_text(f"#!{sys.executable}\nfrom cpi.__main__ import main\nmain()\n")
    script.chmod(0o755)
    called = script
    if linked:
        called = tmp_path / "cpi"
        called.symlink_to(script)
    environment = {"PYTHONPATH": f"{executable.plugins}{os.pathsep}{ROOT}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([called], input=request("has_vm", "vm-1"), env=environment, capture_output=True, check=True)
    assert valid(done.stdout)["result"] is True


def test_without_a_configuration_the_answer_says_where_one_may_be(tmp_path: Path) -> None:
    """All three places."""
    executable = tmp_path / "bin" / "cpi"
    executable.parent.mkdir()
    executable.write_text("from cpi.__main__ import main\nmain()\n")
    done = subprocess.run(
        [sys.executable, executable], input=request("info"), env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=True
    )
    message = valid(done.stdout)["error"]["message"]
    assert f"use --config FILE, set CPI_CONFIG, or create {tmp_path}/config/cpi.json" in message


def test_what_a_library_prints_goes_to_stderr(executable: Executable) -> None:
    """print, a write to the descriptor, a child."""
    executable.configure(misbehave={"has_vm": "print"})
    ran = executable.call("has_vm", "vm-1")
    assert ran.response["result"] is True
    assert [line for line in ("a library prints", "a library writes", "a child prints") if line not in ran.stderr] == []


def test_a_library_that_exits_does_not_end_the_answer(executable: Executable) -> None:
    """sys.exit in a driver is a failure like another."""
    executable.configure(misbehave={"has_vm": "exit"})
    ran = executable.call("has_vm", "vm-1")
    assert ran.response["error"]["type"] == "Bosh::Clouds::CloudError"
    assert ran.exit_status == 0


def test_a_thread_left_running_does_not_keep_the_caller_waiting(executable: Executable) -> None:
    """The director waits for the end of the process, without a deadline."""
    executable.configure(misbehave={"has_vm": "leave a thread"})
    assert executable.call("has_vm", "vm-1").response["result"] is True


@pytest.mark.parametrize("closed", [[0], [2], [0, 2]])
def test_closed_descriptors_do_no_harm(executable: Executable, closed: list[int]) -> None:
    """Neither stdin nor stderr is needed to answer; no file takes their place."""
    executable.configure(misbehave={"has_vm": "print"})
    path = executable.folder / "request"
    path.write_bytes(request("has_vm", "vm-1"))
    done = _run_with_closed(executable, closed, path)
    response = valid(done.stdout)
    assert ("it is empty" in response["error"]["message"]) if 0 in closed else response["result"] is True
    assert done.returncode == 0


def test_nothing_is_done_where_nobody_can_hear_the_answer(executable: Executable) -> None:
    """A VM whose CID is lost would be nobody's."""
    path = executable.folder / "request"
    path.write_bytes(request("create_disk", 1024, {}))
    done = _run_with_closed(executable, [1], path)
    assert b"stdout is closed" in done.stderr
    assert done.returncode == 1
    assert executable.calls() == []


def _run_with_closed(executable: Executable, closed: list[int], stdin: Path) -> subprocess.CompletedProcess[bytes]:
    script = "import os, sys\nfor d in map(int, sys.argv[1].split(',')):\n    os.close(d)\nos.execv(sys.argv[2], sys.argv[2:])"
    numbers = ",".join(map(str, closed))
    with stdin.open("rb") as file:
        return subprocess.run(
            [sys.executable, "-c", script, numbers, *executable.command],
            stdin=file,
            capture_output=True,
            check=False,
            timeout=120,
        )


def test_a_caller_who_hung_up_is_told_of_in_the_exit_status(executable: Executable) -> None:
    """A broken pipe is no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            executable.command, input=request("has_vm", "vm-1"), stdout=writing, stderr=subprocess.PIPE, check=False, timeout=120
        )
    finally:
        os.close(writing)
    assert done.returncode == 1
    assert b"the answer could not be written: Broken pipe" in done.stderr
    assert b"Traceback" not in done.stderr


def test_help_is_for_people() -> None:
    """`cpi rpc --help` says what it reads and writes."""
    command = [sys.executable, "-m", "cpi", "rpc", "--help"]
    done = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL)
    assert done.stdout.startswith(b"Usage: cpi rpc [--config FILE]")


def test_at_a_terminal_bare_cpi_shows_help() -> None:
    """It must not wait for a request that nobody will type."""
    leader, follower = os.openpty()
    try:
        done = subprocess.run([sys.executable, "-m", "cpi"], stdin=follower, capture_output=True, check=False, timeout=120)
    finally:
        os.close(leader)
        os.close(follower)
    assert b"Usage" in done.stdout


@pytest.mark.parametrize(
    "command",
    [[str(Path(sys.executable).with_name("cpi"))], [sys.executable, "-P", "-m", "cpi"]],
    ids=["cpi", "python -P -m cpi"],
)
def test_code_that_lies_in_the_folder_of_a_caller_is_not_run(tmp_path: Path, command: list[str]) -> None:
    """A director may be started anywhere, where anybody can write too."""
    for name in ("cpi", "cpi_drivers", "drivers", "msgspec", "json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('ran what lies here')")
    done = subprocess.run(
        [*command, "rpc", "--config", "none"], input=request("info"), cwd=tmp_path, capture_output=True, check=False, timeout=120
    )
    assert "the configuration none does not exist" in valid(done.stdout)["error"]["message"]
    assert b"ran what lies here" not in done.stderr
