"""A call that was handed over, in the child that makes it."""

import contextlib
import os
import signal
import socket
import sys
import time
from typing import Final, NamedTuple, NoReturn, TextIO

from cpi.rpc import process
from cpi.rpc.warm import launcher, likeness

_LARGEST: Final = 8 * 2**20
_PATIENCE_SECONDS: Final = 30.0
_USUAL: Final = {signal.SIGINT: signal.SIG_DFL, signal.SIGCHLD: signal.SIG_DFL, signal.SIGTERM: signal.SIG_DFL}


class Refused(ValueError):
    """The call cannot be made here: the caller makes it itself."""


class HandedOver(NamedTuple):
    """What a start would have had."""

    connection: socket.socket
    caller: int
    """Its process."""

    argv: list[str]
    arguments: list[str]
    """Those after `cpi rpc`."""

    umask: int
    environment: dict[str, str]
    descriptors: list[int]
    """stdin, stdout, stderr, and the folder that it is in."""


def received(connection: socket.socket) -> HandedOver:
    """Read what is handed over. Raises Refused."""
    connection.settimeout(_PATIENCE_SECONDS)
    try:
        head, descriptors, _, _ = socket.recv_fds(connection, launcher.HEAD, launcher.DESCRIPTORS)
    except OSError as error:
        raise Refused(f"it went away: {error}") from error
    try:
        size = int.from_bytes(head, "big")
        if len(head) != launcher.HEAD or len(descriptors) != launcher.DESCRIPTORS or size > _LARGEST:
            raise Refused("not a call")
        words = _read(connection, size).split(b"\0")
        of_argv, of_arguments, mask = map(int, words[:3])
        caller, user, _ = launcher.peer(connection)
        if user != os.geteuid():
            raise Refused(f"user {user}")
        argv, variables = [os.fsdecode(word) for word in words[3 : 3 + of_argv]], words[3 + of_argv :]
        pairs = (os.fsdecode(variable).partition("=") for variable in variables)
        environment = {name: value for name, _, value in pairs}
        arguments = argv[len(argv) - of_arguments :]
        return HandedOver(connection, caller, argv, arguments, mask, environment, list(descriptors))
    except (OSError, ValueError, IndexError) as error:
        for descriptor in descriptors:
            os.close(descriptor)
        raise Refused(str(error)) from error


def make(handed: HandedOver, own: likeness.Surroundings, learned: int) -> NoReturn:
    """Become what a start would have been, make the call, say how it ended, and end.

    own are the surroundings of the process that forked this one; it reads from learned which modules a call needs.
    """
    try:
        if likeness.surroundings(handed.caller, handed.environment) != own:
            raise Refused("its surroundings are others")
        _become(handed)
        handed.connection.sendall(f"started {os.getpid()}\n".encode())
        if handed.connection.recv(len(launcher.GO)) != launcher.GO:
            raise Refused("it went away")
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            handed.connection.sendall(b"refused\n")
        os._exit(0)
    handed.connection.settimeout(None)
    status = process.serve(handed.arguments)
    process.flush()
    _close_all_but({handed.connection.fileno(), learned})
    with contextlib.suppress(OSError):
        os.write(learned, " ".join(sys.modules).encode())
    with contextlib.suppress(OSError):
        handed.connection.sendall(f"exit {status}\n".encode())
    os._exit(status)


def _close_all_but(kept: set[int]) -> None:
    """The caller reads the answer until its end, and must not wait for the end of this process."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are all that is needed
        if int(name) not in kept:
            with contextlib.suppress(OSError):
                os.close(int(name))


def _become(handed: HandedOver) -> None:
    os.setsid()
    for each, handler in _USUAL.items():
        signal.signal(each, handler)
    likeness.take_limits_of(handed.caller)
    os.fchdir(handed.descriptors[3])
    os.umask(handed.umask)
    for number, descriptor in enumerate(handed.descriptors[:3]):
        os.dup2(descriptor, number)
    for descriptor in handed.descriptors:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(handed.environment)
    time.tzset()
    sys.argv = list(handed.argv)
    sys.stdin, sys.stdout, sys.stderr = _streams()


def _streams() -> tuple[TextIO, TextIO, TextIO]:
    return (
        open(0, encoding="utf-8", errors="surrogateescape", closefd=False),
        open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False),
        open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False),
    )


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise Refused("it went away")
        data += chunk
    return data
