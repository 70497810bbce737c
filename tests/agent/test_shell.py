"""A shell by a configured login, against a real OpenSSH server; and what is asked of the SSH client."""

import contextlib
import hashlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from cpi.agent.errors import AgentTimeout, AgentUnreachable
from cpi.agent.shell import Login, Shell, SshShell, shell_by_login
from cpi.kit.waiting import wait_until
from fixtures.ssh_server import SshServer, make_key, ssh_server

pytestmark = pytest.mark.root
_SOON = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """One for the tests of this file."""
    with ssh_server(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture(scope="module")
def login(server: SshServer) -> Login:
    """Of the user whose tests these are."""
    return Login(host=server.host, user=server.user, key_path=server.key_path, host_key=server.host_key, port=server.port)


@pytest.fixture(scope="module")
def shell(login: Login) -> Iterator[Shell]:
    """One connection for all."""
    with shell_by_login(login) as opened:
        yield opened


def test_a_command_is_run_as_root_with_its_words_unharmed(shell: Shell) -> None:
    """The other side's shell sees what was meant."""
    words = ["a b", "$HOME", "'quoted'", '"', "*", "", "new\nline", "ünïcode"]
    done = shell.run(["printf", "%s\\0", *words], deadline_seconds=_SOON)
    assert (done.status, done.stdout.decode().split("\0")[:-1], done.stderr) == (0, words, b"")
    assert shell.run(["id", "-u"], deadline_seconds=_SOON).stdout == b"0\n"
    assert shell.root == ""


def test_the_exit_status_is_told_with_what_was_said(shell: Shell, tmp_path: Path) -> None:
    """And the complaint is the end of it."""
    done = shell.run(["sh", "-c", "echo one >&2; echo two >&2; exit 3"], deadline_seconds=_SOON)
    assert (done.status, done.complaint) == (3, "one / two")
    assert shell.run([str(tmp_path / "nowhere")], deadline_seconds=_SOON).status == 127


def test_bytes_come_and_go_unharmed(shell: Shell) -> None:
    """Much of everything, both ways, told as it comes."""
    told: list[bytes] = []
    given = os.urandom(3 * 2**20)
    done = shell.run(["tee", "/dev/stderr"], deadline_seconds=_SOON, stdin=given, on_output=told.append)
    assert {_digest(said) for said in (done.stdout, done.stderr, b"".join(told))} == {_digest(given)}
    assert len(told) > 1


def _digest(said: bytes) -> str:
    # pytest would show the difference
    return f"{len(said)} bytes, {hashlib.sha256(said).hexdigest()}"


def test_what_is_overdue_is_given_up(shell: Shell) -> None:
    """Not only at its end; the connection stays good."""
    with pytest.raises(AgentTimeout, match=r"sleep: it did not end within 0\.5 s in the guest"):
        shell.run(["sleep", "20"], deadline_seconds=0.5)
    with pytest.raises(AgentTimeout):
        shell.run(["sh", "-c", "while :; do echo x; sleep 0.1; done"], deadline_seconds=0.5)
    with pytest.raises(AgentTimeout):
        shell.run(["sh", "-c", "exec >&- 2>&-; sleep 20"], deadline_seconds=0.5)
    assert shell.run(["true"], deadline_seconds=_SOON).status == 0


def test_a_listener_that_fails_ends_the_command(shell: Shell) -> None:
    """Its error reaches the caller."""

    def fail(_: bytes) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shell.run(["sh", "-c", "echo x; sleep 20"], deadline_seconds=_SOON, on_output=fail)
    assert shell.run(["true"], deadline_seconds=_SOON).status == 0


_AT_A_TERMINAL = """
import os, signal, sys
import msgspec
from cpi.agent.shell import Login, shell_by_login
seen = []
def note(*_):
    seen.append("Ctrl-C")
    os.write(1, b"noted\\n")
signal.signal(signal.SIGINT, note)
tell = lambda chunk: print(chunk.decode(), end="", flush=True)
with shell_by_login(msgspec.json.decode(sys.argv[1], type=Login)) as shell:
    for command in (["true"], ["sh", "-c", 'echo begun; until [ -e "$0" ]; do sleep 0.1; done; echo ended', sys.argv[2]]):
        done = shell.run(command, deadline_seconds=60, on_output=tell)
print(done.status, *seen)
"""


def test_ctrl_c_is_the_callers_and_ends_no_command(login: Login, tmp_path: Path) -> None:
    """A terminal sends it to all of the caller's process group; the command in the guest is not among those."""
    going = tmp_path / "going"
    command = [sys.executable, "-c", _AT_A_TERMINAL, msgspec.json.encode(login).decode(), str(going)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == "begun\n"
        os.killpg(caller.pid, signal.SIGINT)
        assert caller.stdout.readline() == "noted\n"
        going.touch()
        assert caller.communicate(timeout=_SOON)[0].splitlines() == ["ended", "0 Ctrl-C"]


def test_all_commands_go_over_one_connection(server: SshServer, login: Login) -> None:
    """One key exchange for a whole move."""
    before = server.log.read_text().count("Accepted publickey")
    with shell_by_login(login) as shell:
        for _ in range(5):
            shell.run(["true"], deadline_seconds=_SOON)
    assert server.log.read_text().count("Accepted publickey") == before + 1


def test_another_host_key_is_refused(login: Login, tmp_path: Path) -> None:
    """Whoever answers there is not the guest."""
    other = msgspec.structs.replace(login, host_key=make_key(tmp_path / "other"))
    with shell_by_login(other) as shell, pytest.raises(AgentUnreachable, match="Host key verification failed"):
        shell.run(["true"], deadline_seconds=_SOON)


def test_another_key_or_user_is_refused(login: Login, tmp_path: Path) -> None:
    """The server says so, nobody is asked for a password."""
    make_key(tmp_path / "other")
    strangers = (
        msgspec.structs.replace(login, key_path=str(tmp_path / "other")),
        msgspec.structs.replace(login, user="daemon"),
    )
    for stranger in strangers:
        with shell_by_login(stranger) as shell, pytest.raises(AgentUnreachable, match=r"Permission denied \(publickey\)"):
            shell.run(["true"], deadline_seconds=_SOON)


def test_nobody_there_is_told(login: Login) -> None:
    """With the address."""
    said = r"no shell at \w+@127\.0\.0\.1: .*Connection refused"
    with shell_by_login(msgspec.structs.replace(login, port=1)) as shell, pytest.raises(AgentUnreachable, match=said):
        shell.run(["true"], deadline_seconds=_SOON)


def test_nothing_is_left_of_a_closed_shell(login: Login) -> None:
    """Neither the connection that waits for more commands, nor the folder; even if a command was under way."""
    with shell_by_login(login) as shell:
        shell.run(["true"], deadline_seconds=_SOON)
        folder = Path(_option(shell, "ControlPath")).parent
        assert _clients(folder)
        with contextlib.suppress(AgentTimeout):
            shell.run(["sleep", "20"], deadline_seconds=0.2)
    wait_until(lambda: not _clients(folder), "the connection's end", deadline_seconds=60)
    assert not folder.exists()


def test_the_keys_of_killed_callers_are_removed_by_the_next_one(login: Login) -> None:
    """Once they are a while old; those of callers that live are left alone."""
    left = Path(tempfile.mkdtemp(prefix="cpi-ssh-", dir="/tmp"))
    (left / "in-use").touch()
    with shell_by_login(login) as shell:
        alive = Path(_option(shell, "ControlPath")).parent
        assert left.exists()
        for folder in (left, alive):
            os.utime(folder, (1, 1))
        with shell_by_login(login):
            assert (left.exists(), alive.exists()) == (False, True)


def test_a_connection_that_died_is_made_anew(login: Login) -> None:
    """By the next command."""
    with shell_by_login(login) as shell:
        shell.run(["true"], deadline_seconds=_SOON)
        for pid in _clients(Path(_option(shell, "ControlPath")).parent):
            os.kill(pid, signal.SIGKILL)
        assert shell.run(["echo", "again"], deadline_seconds=_SOON).stdout == b"again\n"


def test_without_an_ssh_client_it_is_said_what_is_missing(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a trace of the system's error."""
    monkeypatch.setenv("PATH", "/nowhere")
    with shell_by_login(login) as shell, pytest.raises(AgentUnreachable, match="the OpenSSH client cannot be run here"):
        shell.run(["true"], deadline_seconds=_SOON)


def test_who_is_not_root_becomes_it_without_a_question(
    login: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: SshServer
) -> None:
    """The command that the other side gets; a user cannot be taken for an option."""
    said = tmp_path / "said"
    client = tmp_path / "ssh"
    client.write_text(f'#!/bin/sh\nprintf "%s\\0" "$@" > {shlex.quote(str(said))}\n')
    client.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    other = msgspec.structs.replace(login, user="-oProxyCommand=x")
    SshShell(other, tmp_path).run(["rsync", "a b"], deadline_seconds=_SOON)
    assert said.read_text().split("\0")[-4:-1] == ["--", f"-oProxyCommand=x@{server.host}", "sudo -n rsync 'a b'"]


def _option(shell: Shell, name: str) -> str:
    assert isinstance(shell, SshShell)
    return next(word.partition("=")[2] for word in shell._ssh if word.startswith(f"{name}="))


def _clients(folder: Path) -> list[int]:
    """The SSH clients that have to do with a shell's folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(folder) in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found
