"""The way into a VM: who is let in, as whom, and that nothing is left of it."""

import contextlib
import json
import os
import pwd
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from tests.drivers.local_agent.conftest import MakeVm
from tests.drivers.local_agent.vm import AgentSaysNoError, Vm, eventually, lives

_USER = "bosh_0123"
_TOOLS = "/usr/bin:/bin:/usr/sbin:/sbin"


class Way(NamedTuple):
    """A key, and how the agent answered when it was set up."""

    key: Path
    answer: dict[str, Any]

    def command(self, *words: str, user: str | None = None) -> list[str]:
        """The SSH client's, with nothing of whose who runs the tests."""
        known = self.key.with_name("known_hosts")
        known.write_text(f"[{self.answer['ip']}]:{self.answer['port']} {self.answer['host_public_key']}\n")
        options = ("BatchMode=yes", f"UserKnownHostsFile={known}", "GlobalKnownHostsFile=/dev/null", "IdentityAgent=none")
        flags = [flag for option in options for flag in ("-o", option)]
        target = f"{user or self.answer['user']}@{self.answer['ip']}"
        return ["ssh", "-F", "none", "-i", str(self.key), "-p", str(self.answer["port"]), *flags, target, *words]

    def run(self, *words: str, user: str | None = None) -> "subprocess.CompletedProcess[str]":
        """What a command in the VM said."""
        return subprocess.run(
            self.command(*words, user=user), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )

    @contextlib.contextmanager
    def session(self, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A command in the VM that is under way, until the block ends."""
        with subprocess.Popen(self.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            try:
                yield process
            finally:
                process.kill()


LetIn = Callable[..., Way]


@pytest.fixture
def let_in(tmp_path: Path) -> LetIn:
    """Makes a key and has it set up."""

    def made(vm: Vm, user: str = _USER) -> Way:
        folder = tmp_path / f"key-of-{user}"
        folder.mkdir()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True, timeout=60)
        public = (folder / "key.pub").read_text()
        return Way(folder / "key", vm.call("ssh", "setup", {"user": user, "public_key": public}))

    return made


def isolated(vm: Vm) -> Vm:
    """Gives it mounts of its own, as the driver does where it can."""
    (vm.path / "launch.json").write_text(json.dumps({"isolate_mounts": True, "overlay": None, "command": None}))
    return vm.start()


@pytest.mark.root
def test_a_key_lets_its_owner_in(make_vm: MakeVm, let_in: LetIn) -> None:
    """As the agent's own user; the answer is the BOSH agent's, with what a local VM needs besides."""
    vm = isolated(make_vm())
    way = let_in(vm)
    assert {key: way.answer[key] for key in ("command", "status", "ip", "user", "root")} == {
        "command": "setup",
        "status": "success",
        "ip": "127.0.0.1",
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "root": str(vm.root),
    }
    assert way.run("id", "-u").stdout == f"{os.geteuid()}\n"


@pytest.mark.root
def test_what_the_users_bash_does_first_is_not_done_in_the_vm(make_vm: MakeVm, let_in: LetIn) -> None:
    """~/.bashrc is of the machine; bash reads it in a session's first shell only."""
    counts = "2\n" if pwd.getpwuid(os.geteuid()).pw_shell.endswith("/bash") else "1\n"
    assert let_in(isolated(make_vm())).run('echo "$SHLVL"').stdout == counts


@pytest.mark.root
def test_the_machine_is_left_as_it_was(make_vm: MakeVm, let_in: LetIn) -> None:
    """The folder that sshd asks for is there for its sessions alone."""
    before = sorted(Path("/run").iterdir())
    assert let_in(isolated(make_vm())).run("ls", "/run/sshd").returncode == 0
    assert sorted(Path("/run").iterdir()) == before


@pytest.mark.root
def test_a_mount_of_the_vm_is_seen_by_a_session_that_was_there_before(make_vm: MakeVm, let_in: LetIn, tmp_path: Path) -> None:
    """And by those that come later; the machine sees none of it."""
    vm = isolated(make_vm())
    way = let_in(vm)
    point = tmp_path / "point"
    point.mkdir()
    waits = f"while ! [ -e {point}/here ]; do sleep 0.05; done; cat {point}/here"
    with way.session(waits) as session:
        eventually(lambda: psutil.Process(vm.pid).children(), lambda: "no session")
        in_vm = ["nsenter", "--mount", "--target", str(vm.pid)]
        subprocess.run([*in_vm, "mount", "-t", "tmpfs", "none", str(point)], check=True, timeout=60)
        subprocess.run([*in_vm, "tee", f"{point}/here"], input=b"seen", stdout=subprocess.DEVNULL, check=True, timeout=60)
        assert session.communicate(timeout=60)[0] == b"seen"
    assert list(point.iterdir()) == []


@pytest.mark.root
def test_only_the_key_that_was_set_up_is_let_in(make_vm: MakeVm, let_in: LetIn) -> None:
    """Another's key is not, nor another user, nor anybody without a key; and two who are set up do not meet."""
    vm = isolated(make_vm())
    first, second = let_in(vm), let_in(vm, "bosh_4567")
    assert (first.run("true").returncode, second.run("true").returncode) == (0, 0)
    crossed = first._replace(answer=second.answer)
    for refused in (crossed.run("true"), first.run("true", user="daemon")):
        assert (refused.returncode, "Permission denied (publickey)" in refused.stderr) == (255, True)


@pytest.mark.root
def test_cleanup_ends_the_users_sessions_with_all_they_left(make_vm: MakeVm, let_in: LetIn) -> None:
    """What left its session, too; another user's go on."""
    vm = isolated(make_vm())
    first, second = let_in(vm), let_in(vm, "bosh_4567")
    with first.session(_leaving("97")) as ending, second.session("sleep 98") as going_on:
        left = eventually(lambda: _both_sleeping("97"), lambda: "no session")
        stays = eventually(lambda: _sleeping("98"), lambda: "no session")
        assert vm.call("ssh", "cleanup", {"user_regex": f"^{_USER}"}) == {"command": "cleanup", "status": "success"}
        assert ending.wait(60) == 255
        eventually(lambda: not any(map(lives, left)), lambda: f"{left} are left")
        assert first.run("true").returncode == 255
        assert all(map(lives, stays))
        vm.call("ssh", "cleanup", {"user_regex": "^bosh_"})
        assert going_on.wait(60) == 255
        eventually(lambda: not any(map(lives, stays)), lambda: f"{stays} are left")


def _leaving(seconds: str) -> str:
    return f"setsid nohup sleep {seconds} >/dev/null 2>&1 </dev/null & sleep {seconds}"


@pytest.mark.root
def test_what_left_its_session_outlives_the_connection_until_cleanup(make_vm: MakeVm, let_in: LetIn) -> None:
    """As in any VM; who comes back finds it by the number that it had."""
    vm = isolated(make_vm())
    way = let_in(vm)
    with way.session(_leaving("93")) as session:
        eventually(lambda: _both_sleeping("93"), lambda: "no session")
        session.kill()
    (left,) = [process for process in _sleeping("93") if process.ppid() != session.pid][:1]
    assert way.run("pgrep", "-x", "-f", "'sleep 93'").stdout.split()
    assert lives(left)
    vm.call("ssh", "cleanup", {"user_regex": "."})
    assert not _sleeping("93")


def _sleeping(seconds: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline() == ["sleep", seconds]:
                found.append(process)
    return found


def _both_sleeping(seconds: str) -> list[psutil.Process]:
    found = _sleeping(seconds)
    return found if len(found) > 1 else []


@pytest.mark.root
def test_losing_the_vm_ends_its_sessions(make_vm: MakeVm, let_in: LetIn) -> None:
    """A process of a lost VM would go on writing to its disk."""
    vm = isolated(make_vm())
    way = let_in(vm)
    with way.session(_leaving("96")) as session:
        left = eventually(lambda: _both_sleeping("96"), lambda: "no session")
        vm.lose()
        assert session.wait(60) == 255
    eventually(lambda: not any(map(lives, left)), lambda: f"{left} are left")


@pytest.mark.root
def test_the_host_key_stays_over_a_reboot_and_those_let_in_do_not(make_vm: MakeVm, let_in: LetIn) -> None:
    """The key is for its owner alone."""
    vm = isolated(make_vm())
    before = let_in(vm)
    vm.reboot()
    assert before.run("true").returncode == 255
    again = let_in(vm, "bosh_4567")
    assert again.answer["host_public_key"] == before.answer["host_public_key"]
    assert stat.S_IMODE((vm.path / "state/ssh/host_key").stat().st_mode) == 0o600


def test_what_is_no_key_is_refused(lasting_vm: Vm, tmp_path: Path) -> None:
    """Options and further lines in it would let in more than the key."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True, timeout=60)
    public = (tmp_path / "key.pub").read_text()
    for text in ("", "junk", f'command="id" {public}', f"{public}{public}", (tmp_path / "key").read_text()):
        with pytest.raises(AgentSaysNoError, match="Action Failed ssh: Setting ssh public key"):
            lasting_vm.call("ssh", "setup", {"user": _USER, "public_key": text})
    for user in ("", "../x", "a b", "x" * 33):
        with pytest.raises(AgentSaysNoError, match="Creating user"):
            lasting_vm.call("ssh", "setup", {"user": user, "public_key": public})


def test_other_commands_and_patterns_are_refused(lasting_vm: Vm) -> None:
    """With the BOSH agent's words where it has some; cleaning up where nothing is to clean is fine."""
    with pytest.raises(AgentSaysNoError, match=r"^Action Failed ssh: Unknown command for SSH method$"):
        lasting_vm.call("ssh", "open", {})
    with pytest.raises(AgentSaysNoError, match="no regular expression"):
        lasting_vm.call("ssh", "cleanup", {"user_regex": "("})
    assert lasting_vm.call("ssh", "cleanup", {"user_regex": "^bosh_"}) == {"command": "cleanup", "status": "success"}
    with pytest.raises(AgentSaysNoError, match="parameters of ssh are an object"):
        lasting_vm.call("ssh", "setup", ["a"])


# ---------------------------------------------------------------------- without an SSH server


@pytest.fixture
def without_server(make_vm: MakeVm) -> Vm:
    """A VM that may have no SSH server."""
    vm = make_vm()
    settings = json.loads((vm.path / "settings.json").read_text())
    settings["env"]["bosh"]["agent"] = {"settings": {"ssh_server": False}}
    (vm.path / "settings.json").write_text(json.dumps(settings))
    return vm.start()


def _executed(vm: Vm, *arguments: Any) -> tuple[int, bytes, bytes]:
    value = vm.done("exec", *arguments)
    stdout, stderr = (value[name].encode("utf-8", "surrogateescape") for name in ("stdout", "stderr"))
    return value["status"], stdout, stderr


def test_without_a_server_commands_are_messages(without_server: Vm, let_in: LetIn) -> None:
    """Bytes go in and out unharmed, and the exit status is told."""
    assert let_in(without_server).answer == {"command": "exec", "status": "success", "root": str(without_server.root)}
    every = bytes(range(256)).decode("utf-8", "surrogateescape")
    assert _executed(without_server, ["cat"], every) == (0, bytes(range(256)), b"")
    assert _executed(without_server, ["sh", "-c", "echo no >&2; exit 3"]) == (3, b"", b"no\n")
    status, _, stderr = _executed(without_server, ["/nowhere/to/be/found"])
    assert (status, b"No such file" in stderr) == (127, True)


def test_a_message_runs_a_command_only_while_somebody_is_let_in(without_server: Vm, let_in: LetIn) -> None:
    """Neither before nor after."""
    with pytest.raises(AgentSaysNoError, match="nobody was let in"):
        without_server.done("exec", ["true"])
    let_in(without_server)
    without_server.done("exec", ["true"])
    without_server.call("ssh", "cleanup", {"user_regex": "."})
    with pytest.raises(AgentSaysNoError, match="nobody was let in"):
        without_server.done("exec", ["true"])


def test_what_is_no_command_is_refused(without_server: Vm, let_in: LetIn) -> None:
    """And what is no text to read."""
    let_in(without_server)
    for command in ("true", [], [1], None, [["true"]]):
        with pytest.raises(AgentSaysNoError, match="a command is a list of strings"):
            without_server.done("exec", command)
    with pytest.raises(AgentSaysNoError, match="is a string"):
        without_server.done("exec", ["true"], 3)
    status, _, stderr = _executed(without_server, ["a\0b"])
    assert (status, stderr != b"") == (127, True)


def test_a_command_lets_other_work_go_on_and_ends_with_the_way_in(without_server: Vm, let_in: LetIn) -> None:
    """With what it started; tasks do not wait for it."""
    let_in(without_server)
    marker = without_server.call("exec", ["sh", "-c", "setsid sleep 95 & sleep 95"])
    left = eventually(lambda: _both_sleeping("95"), lambda: "no command")
    assert without_server.done("list_disk") == []
    without_server.call("ssh", "cleanup", {"user_regex": "."})
    assert without_server.result(marker)["status"] != 0
    assert not any(map(lives, left))


def test_a_command_can_be_cancelled(without_server: Vm, let_in: LetIn) -> None:
    """Its processes end."""
    let_in(without_server)
    marker = without_server.call("exec", ["sleep", "94"])
    left = eventually(lambda: _sleeping("94"), lambda: "no command")
    assert without_server.call("cancel_task", marker["agent_task_id"]) == "canceled"
    eventually(lambda: not any(map(lives, left)), lambda: f"{left} are left")
