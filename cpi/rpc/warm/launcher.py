"""The way to `cpi serve`: hands a call over, with all that a start would have had, and ends as the call ended.

Imports nothing that a bare interpreter has not loaded: this is all of Python that a warm call waits for.
"""

import _signal  # type: ignore[import-not-found]  # built in, and known to no stub: signal itself takes its time
import _socket
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself takes longer than all of this file
    from typing import NoReturn

_PATIENCE_SECONDS = 5.0
_KILLED = 9
_FORWARDED = (1, 2, 15)
"""SIGHUP, SIGINT and SIGTERM: a call ends in order after them."""

GO = b"go"
HEAD = 4
"""Bytes that say how long the rest of a call is."""

DESCRIPTORS = 4
"""stdin, stdout, stderr, and the folder that the caller is in."""

_TYPE_AND_MODE = 0o170777
_PRIVATE_FOLDER = 0o040700


def hand_over(arguments: list[str]) -> None:
    """Have the call made by a process that is ready, and end this process as that one ends.

    Given: arguments, those after `cpi rpc`.
    Then: returns, with nothing read and nothing done, where there is none, or where it refuses: the call is made here.
    """
    config = config_path(arguments)
    where = socket_path(config) if config and _has_plain_streams() else None
    connection = _connected(where) if where else None
    if connection is None:
        return
    if _begun(connection, arguments):
        _end_as_told(_line(connection))
    connection.close()


def _has_plain_streams() -> bool:
    """All three, and no terminal to read from: only its own session may."""
    try:
        return [os.fstat(number) is not None for number in (0, 1, 2)] == [True] * 3 and not os.isatty(0)
    except OSError:
        return False


def _begun(connection: _socket.socket, arguments: list[str]) -> bool:
    """Whether the call is made at the other end; signals go there from now on."""
    before = {number: _signal.getsignal(number) for number in _FORWARDED}
    try:
        pid = _accepted(connection, arguments)
        if not pid:
            return False
        for number in _FORWARDED:
            _signal.signal(number, lambda received, _: _forward(pid, received))
        connection.settimeout(None)
        connection.sendall(GO)
    except OSError:
        for number, handler in before.items():
            _signal.signal(number, handler)
        return False
    return True


def _forward(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:  # it has ended, and is about to say so
        return


def config_path(arguments: list[str]) -> str | None:
    """Where the configuration is; None if there is none, or if these are no arguments of `cpi rpc`."""
    match arguments:
        case ["--config", path]:
            return path
        case [argument] if argument.startswith("--config="):
            return argument.removeprefix("--config=")
        case [_, *_]:
            return None
    return os.environ.get("CPI_CONFIG") or next(filter(os.path.exists, beside(sys.argv[0])), None)


def beside(executable: str) -> list[str]:
    """Where a configuration may lie relative to the executable: as it was called, and where links lead."""
    return [
        os.path.normpath(os.path.join(os.path.dirname(path), "..", "config", "cpi.json"))  # noqa: PTH118, PTH120 - pathlib costs time
        for path in (os.path.abspath(executable), os.path.realpath(executable))  # noqa: PTH100 - as above
    ]


def folder() -> str:
    """Where the sockets of this user lie."""
    return f"/tmp/multicpi-{os.geteuid()}"  # noqa: S108 - its owner and mode are checked, by both sides


def socket_path(config: str) -> str | None:
    """The socket for a configuration as it is now, and for this code: once either is written anew, it is another one."""
    try:
        file, code, python = os.stat(config), os.stat(__file__), os.stat(os.path.dirname(sys.executable))  # noqa: PTH116, PTH120 - as above
    except (OSError, ValueError):
        return None
    facts = (
        file.st_dev,
        file.st_ino,
        file.st_size,
        file.st_mtime_ns,
        file.st_ctime_ns,
        code.st_ino,
        code.st_mtime_ns,
        python.st_ino,
    )
    return f"{folder()}/{'-'.join(format(fact, 'x') for fact in facts)}"


def is_private(path: str) -> bool:
    """Whether a folder is this user's and closed to all others."""
    try:
        facts = os.lstat(path)
    except OSError:
        return False
    return facts.st_uid == os.geteuid() and facts.st_mode & _TYPE_AND_MODE == _PRIVATE_FOLDER


def peer(connection: _socket.socket) -> tuple[int, int, int]:
    """Process, user and group at the other end, as the kernel knows them."""
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    pid, user, group = (int.from_bytes(credentials[start : start + 4], sys.byteorder) for start in (0, 4, 8))
    return pid, user, group


def _connected(path: str) -> _socket.socket | None:
    if not hasattr(_socket, "SO_PEERCRED") or not is_private(folder()):
        return None
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.settimeout(_PATIENCE_SECONDS)
        connection.connect(path)
        if peer(connection)[1] == os.geteuid():
            return connection
    except OSError:
        pass
    connection.close()
    return None


def _accepted(connection: _socket.socket, arguments: list[str]) -> int:
    """The process that will make the call once it is let; 0 if it is refused."""
    here = os.open(".", os.O_RDONLY)
    mask = os.umask(0o077)
    os.umask(mask)
    counts = (len(sys.argv), len(arguments), mask)
    words = [*(str(count).encode() for count in counts), *map(os.fsencode, sys.argv)]
    words += [name + b"=" + value for name, value in os.environb.items()]
    data = b"\0".join(words)
    descriptors = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2, here))
    try:
        connection.sendmsg([len(data).to_bytes(HEAD, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)])
        connection.sendall(data)
        answer = _line(connection).split()
    finally:
        os.close(here)
    return int(answer[1]) if answer[:1] == [b"started"] else 0


def _line(connection: _socket.socket) -> bytes:
    """What is said up to the end of a line; all that there is, if the other end went away."""
    said = b""
    while not said.endswith(b"\n"):
        try:
            chunk = connection.recv(1)
        except ConnectionError:
            break
        if not chunk:
            break
        said += chunk
    return said


def _end_as_told(said: bytes) -> "NoReturn":
    """With the same status, or by the same signal; killed, if nothing is left that could tell."""
    match said.split():
        case [b"exit", status]:
            os._exit(int(status))
        case [b"signal", number]:
            received = int(number)
        case _:
            received = _KILLED
    if received != _KILLED:
        _signal.signal(received, _signal.SIG_DFL)
    os.kill(os.getpid(), received)
    os._exit(128 + received)
