"""A root shell in the guest: what a live copy runs rsync with.

Two ways in, both by SSH with the host key pinned: the agent's `ssh` message (a fresh key and user, removed afterwards),
or a user, key and known host that the operator configured. An agent that offers its own `exec` is asked for that
where there is no SSH server.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import selectors
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from cpi.agent.errors import AgentTaskFailed, AgentTimeout, AgentUnknownMessage, AgentUnreachable
from cpi.agent.protocol import Agent
from cpi.kit.retrying import repeated

OnOutput = Callable[[bytes], None]

_SSH_FAILED: Final = 255
_CONNECT_SECONDS: Final = 20
_CHUNK: Final = 65_536
_KEPT_BYTES: Final = 64 * 2**20
_DEFAULT_PORT: Final = 22
_CLEANUP_ATTEMPTS: Final = 3
_PREFIX: Final = "cpi-ssh-"
_USERS: Final = "bosh_cpi_"
"""What every user begins with that we have made in a guest: an operator's own are called otherwise."""

_SHORT: Final = "/tmp"  # noqa: S108 - private folders are made in it; by name: a socket's path has 107 bytes, TMPDIR may be long
_IN_USE: Final = "in-use"
_MADE_SECONDS: Final = 10.0
_log = logging.getLogger(__name__)


class Output(msgspec.Struct, frozen=True):
    """What a command said, and its exit status."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def complaint(self) -> str:
        """The last lines of stderr, for an error message."""
        return " / ".join(self.stderr.decode(errors="replace").strip().splitlines()[-3:]) or "without a word"


class Shell(Protocol):
    """Runs commands as root in one guest. Given as lists; paths are the guest's own."""

    @property
    def root(self) -> str:
        """What stands before /var/vcap in the guest: empty in a real VM."""

    def run(
        self, command: Sequence[str], *, deadline_seconds: float, stdin: bytes = b"", on_output: OnOutput | None = None
    ) -> Output:
        """The command's output, told as it comes to on_output too. Raises AgentTimeout, AgentUnreachable."""


class Login(msgspec.Struct, frozen=True):
    """How to get into a guest by SSH. host_key is what ssh-keyscan prints behind the host: type and key."""

    host: str
    user: str
    key_path: str
    host_key: str
    port: int = _DEFAULT_PORT
    root: str = ""
    sudo: bool = True
    """Whether a user who is not root becomes it by sudo; otherwise commands run as that user."""


class SshShell:
    """The OpenSSH client as a shell; one connection carries all commands until it is closed."""

    def __init__(self, login: Login, folder: Path) -> None:
        """folder is private to this shell and short: the connection's socket lies in it."""
        self._login = login
        known_hosts = folder / "known_hosts"
        known_hosts.touch(mode=0o600)
        known_hosts.write_text(known_host(login))
        control = {"ControlMaster": "auto", "ControlPath": str(folder / "c"), "ControlPersist": "30"}
        self._ssh = _client(login, known_hosts=str(known_hosts), key=login.key_path, more=control)
        self._target = f"{login.user}@{login.host}"

    def __repr__(self) -> str:
        return f"SshShell({self._target}:{self._login.port})"

    @property
    def root(self) -> str:
        """What stands before /var/vcap in the guest."""
        return self._login.root

    def run(
        self, command: Sequence[str], *, deadline_seconds: float, stdin: bytes = b"", on_output: OnOutput | None = None
    ) -> Output:
        """As in Shell. A command that ends with 255 cannot be told from a connection that failed."""
        output = _run(self.command(command), deadline_seconds, stdin, on_output, str(command[0]))
        if output.status == _SSH_FAILED:
            raise AgentUnreachable(f"{command[0]}: no shell at {self._target}: {output.complaint}")
        return output

    def command(self, words: Sequence[str]) -> list[str]:
        """What runs the words in the guest if it is run here, its input and output being theirs."""
        # sshd hands one string to the user's shell
        return [*self._ssh, "--", self._target, shlex.join([*root_words(self._login), *words])]

    def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(AgentTimeout, AgentUnreachable):
            _run([*self._ssh, "-O", "exit", "--", self._target], _CONNECT_SECONDS, b"", None, "ssh")


def root_words(login: Login) -> tuple[str, ...]:
    """What stands before a command for it to be root's."""
    return ("sudo", "-n") if login.sudo and login.user != "root" else ()


def command_to(login: Login, *, known_hosts: str, key: str) -> tuple[list[str], str]:
    """The client in a guest that has these files, and what it connects to."""
    return _client(login, known_hosts=known_hosts, key=key, more={}), f"{login.user}@{login.host}"


def known_host(login: Login) -> str:
    """The line of a known_hosts file."""
    return f"{_known_name(login)} {login.host_key.strip()}\n"


def _client(login: Login, *, known_hosts: str, key: str, more: Mapping[str, str]) -> list[str]:
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "IdentityFile": key,
        "ConnectTimeout": str(_CONNECT_SECONDS),
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "4",
        **more,
        "LogLevel": "ERROR",
    }
    return [
        "ssh",
        "-F",
        "none",
        "-p",
        str(login.port),
        *(flag for name, value in options.items() for flag in ("-o", f"{name}={value}")),
    ]


class ExecShell:
    """An agent's own `exec` message as a shell, for guests without an SSH server."""

    def __init__(self, agent: Agent, root: str) -> None:
        self._agent = agent
        self.root = root

    def run(
        self, command: Sequence[str], *, deadline_seconds: float, stdin: bytes = b"", on_output: OnOutput | None = None
    ) -> Output:
        """As in Shell; the output comes whole at the end."""
        told = self._agent.exec(list(command), stdin.decode("utf-8", "surrogateescape"), deadline_seconds)
        if on_output is not None:
            on_output(told.stdout.encode("utf-8", "surrogateescape"))
        return Output(told.status, told.stdout.encode("utf-8", "surrogateescape"), told.stderr.encode("utf-8", "surrogateescape"))


@contextlib.contextmanager
def shell_by_login(login: Login) -> Iterator[Shell]:
    """The guest of a configured login, until the block ends."""
    with _private_folder() as folder:
        shell = SshShell(login, folder)
        try:
            yield shell
        finally:
            shell.close()


@contextlib.contextmanager
def shell_by_agent(agent: Agent, host: str | None = None, *, move_id: str | None = None) -> Iterator[Shell]:
    """The agent's guest, until the block ends; the user made for it is removed then, whatever happened.

    host is where the guest is reached if not at the address that the agent names. A move has a disk, and so its guest, in hand
    alone: with its id its user is the same each time, and whatever users killed callers have left there are removed first.
    Raises AgentUnknownMessage if the agent offers no shell.
    """
    user = f"{_USERS}look_{os.urandom(6).hex()}" if move_id is None else user_of(move_id)
    if move_id is not None:
        remove_users(agent)
    with _private_folder() as folder:
        public_key = _fresh_key(folder / "key")
        try:
            answer = _let_in(agent, user, public_key)
            if answer.get("command") == "exec":
                yield ExecShell(agent, str(answer.get("root", "")))
                return
            shell = SshShell(_login(answer, user, str(folder / "key"), host), folder)
            try:
                yield shell
            finally:
                shell.close()
        finally:
            # also if no answer came: the user may have been made
            _let_out(agent, user)


@contextlib.contextmanager
def let_in(agent: Agent, user: str) -> Iterator[tuple[Login, bytes]]:
    """How another guest gets into the agent's, and the private key for it, until the block ends; the user is removed then.

    Raises AgentUnknownMessage if the guest has no SSH server.
    """
    with _private_folder() as folder:
        key = folder / "key"
        public_key = _fresh_key(key)
        try:
            yield _login(_let_in(agent, user, public_key), user, str(key), None), key.read_bytes()
        finally:
            _let_out(agent, user)


def user_of(move_id: str) -> str:
    """Who a move is in its guest."""
    return f"{_USERS}{hashlib.sha256(move_id.encode()).hexdigest()[:16]}"


def remove_users(agent: Agent) -> None:
    """Remove every user that a caller of ours has left in the guest, and end what it left running."""
    repeated(
        lambda: agent.ssh("cleanup", {"user_regex": f"^{_USERS}"}),
        on=(AgentTimeout, AgentUnreachable),
        attempts=_CLEANUP_ATTEMPTS,
    )


def _let_in(agent: Agent, user: str, public_key: str) -> dict[str, Any]:
    answer = agent.ssh("setup", {"user": user, "public_key": public_key})
    if answer.get("status") != "success":
        raise AgentTaskFailed(f"ssh: the agent refused access: {answer.get('status')!r}")
    return answer


def _let_out(agent: Agent, user: str) -> None:
    """What was done in the guest is done, so that a user is left there fails nobody; it is told."""
    with contextlib.suppress(AgentUnknownMessage):
        try:
            repeated(
                lambda: agent.ssh("cleanup", {"user_regex": f"^{user}$"}),
                on=(AgentTimeout, AgentUnreachable),
                attempts=_CLEANUP_ATTEMPTS,
            )
        except (AgentTimeout, AgentUnreachable, AgentTaskFailed) as error:
            _log.warning("the user %s is left in the guest: %s", user, error.message)


def _login(answer: dict[str, Any], user: str, key_path: str, host: str | None) -> Login:
    host_key, address = answer.get("host_public_key"), host or answer.get("ip")
    if not host_key or not address:
        raise AgentUnknownMessage("ssh: the agent returned no host key or no address, so its guest cannot be trusted or found")
    port = answer.get("port") or _DEFAULT_PORT
    if not isinstance(port, int):
        raise AgentTaskFailed(f"ssh: the agent returned an invalid port: {port!r}")
    return Login(
        host=str(address),
        user=str(answer.get("user") or user),
        key_path=key_path,
        host_key=str(host_key),
        port=port,
        root=str(answer.get("root") or ""),
        sudo="user" not in answer,  # an agent that names its own is all the root its guest has
    )


def _known_name(login: Login) -> str:
    return login.host if login.port == _DEFAULT_PORT else f"[{login.host}]:{login.port}"


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    _sweep()
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=_SHORT) as folder, (Path(folder) / _IN_USE).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(folder)


def _sweep() -> None:
    """Remove the folders of callers that were killed: keys are in them."""
    for folder in Path(_SHORT).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = folder.stat()
            if status.st_uid == os.geteuid() and time.time() - status.st_mtime > _MADE_SECONDS:
                with (folder / _IN_USE).open("rb") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)


def _fresh_key(path: Path) -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return public.decode()


def _run(command: Sequence[str], deadline_seconds: float, stdin: bytes, on_output: OnOutput | None, name: str) -> Output:
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        try:
            # a group of its own: Ctrl-C is for the move to decide on, and would end a command in the guest
            process = subprocess.Popen(command, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)
        except OSError as error:
            raise AgentUnreachable(f"{name}: the OpenSSH client cannot be run here: {error}") from error
    with process:
        try:
            stdout, stderr = _collected(process, time.monotonic() + deadline_seconds, on_output)
        except TimeoutError as error:
            raise AgentTimeout(f"{name}: it did not end within {deadline_seconds:g} s in the guest") from error
        finally:
            if process.poll() is None:
                process.kill()
    return Output(process.returncode, stdout, stderr)


def _collected(process: "subprocess.Popen[bytes]", end: float, on_output: OnOutput | None) -> tuple[bytes, bytes]:
    """Until stdout ends and the process with it: the connection that ssh leaves behind for a while may keep stderr open."""
    if process.stdout is None or process.stderr is None:
        raise ValueError("the process was started without pipes")
    stdout, stderr = bytearray(), bytearray()
    os.set_blocking(process.stderr.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stderr, selectors.EVENT_READ)
        while process.stdout in {key.fileobj for key in selector.get_map().values()}:
            for key, _ in selector.select(_left(end)):
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stderr:
                    _keep(stderr, chunk)
                else:
                    _keep(stdout, chunk)
                    if on_output is not None:
                        on_output(chunk)
    try:
        process.wait(_left(end))
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(process.stderr.fileno(), _CHUNK):
            _keep(stderr, chunk)
    return bytes(stdout), bytes(stderr)


def _keep(collected: bytearray, chunk: bytes) -> None:
    if len(collected) < _KEPT_BYTES:
        collected.extend(chunk)


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
