"""Scripts in both guests of a move between clouds, and the way by which the old guest's rsync reaches the new one's."""

import contextlib
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from cpi.agent.errors import AgentTimeout, AgentUnknownMessage, AgentUnreachable
from cpi.agent.relaying import MAKE, Relay
from cpi.agent.shell import Login, OnOutput, Output, Shell, SshShell, command_to, known_host, let_in, root_words, user_of
from cpi.contract import errors
from cpi.migration.between import scripts
from cpi.migration.between.destination import Destination, Way
from cpi.migration.between.sparse import TAKING
from cpi.migration.disks import Site
from cpi.migration.guest import Guest, Room

# What rsync, or the ssh that carries it, ends with when the connection does not hold.
_BROKEN: Final = (5, 10, 12, 30, 35, 255)
_LOCK_SECONDS: Final = 600
_TRIED_SECONDS: Final = 40
_NOT_REACHED: Final = 9
_OURS: Final = (0, 23, 24, 74, 75)


class Broken(errors.CloudError):
    """The connection between the guests did not hold: what was copied stays, and the next try goes on from there."""


LOST: Final = (Broken, AgentTimeout, AgentUnreachable)
"""What passes by itself where a network does."""


class OldGuest(Guest):
    """The guest that is left. What lies beside its store is the new guest's store."""

    def __init__(self, shell: Shell, move_id: str, far: Guest) -> None:
        super().__init__(shell, move_id)
        self._far = far
        self.target = f"far:{far.store}"

    def room(self, folder: str, *, exact: bool = False) -> Room:
        """As in Guest, of the new guest too."""
        return self._far.room(self._far.store, exact=exact) if folder == self.target else super().room(folder, exact=exact)


class Crossing:
    """Both guests, and the way between them."""

    def __init__(self, old: OldGuest, far: Guest, relay: Relay | None) -> None:
        self.old = old
        self.far = far
        self._relay = relay

    @property
    def way(self) -> Way:
        """By which the data passes."""
        return Way.DIRECT if self._relay is None else Way.WORKER

    def here(self, script: str, *words: str, on_output: OnOutput | None = None, fine: Sequence[int] = (0,)) -> Output:
        """Run a script in the old guest, which may reach the new one. Raises Broken, CloudError."""
        with self._relay.open() if self._relay is not None else contextlib.nullcontext():
            done = self.old.run(scripts.REACHING + script, *words, on_output=on_output, fine=(*_OURS, *_BROKEN, *fine))
        if done.status in fine:
            return done
        reason = f"in the old guest: exit status {done.status}: {done.complaint}"
        if self._relay is not None and self._relay.complaint:
            reason = f"{reason}; the new guest said: {self._relay.complaint}"
        raise Broken(reason) if done.status in _BROKEN else errors.CloudError(reason)

    def there(self, script: str, *words: str, stdin: bytes = b"") -> Output:
        """Run a script in the new guest. Raises CloudError."""
        try:
            return self.far.run(script, *words, stdin=stdin)
        except errors.CloudError as error:
            error.message = f"in the new guest: {error.message}"
            raise


@contextlib.contextmanager
def opened(old: Site, far: Site, to: Destination, move_id: str) -> Iterator[Crossing]:
    """The way that the destination names, until the block ends; nothing of it stays in either guest then.

    Raises CloudError if there is none.
    """
    far_guest = far.guest(move_id)
    if old.shell is None or not isinstance(far.shell, SshShell):
        raise errors.CloudError("there is no SSH server in the new guest, or no shell in the old one")
    here = OldGuest(old.shell, move_id, far_guest)
    _lay(far_guest, {"take": TAKING.encode()})
    with contextlib.ExitStack() as made:
        why_not = "it was not asked for"
        if to.way is not Way.WORKER:
            direct = contextlib.ExitStack()
            made.push(direct)
            why_not = _lay_direct(here, far, far_guest, to, direct, move_id)
            if not why_not:
                yield Crossing(here, far_guest, None)
                return
            direct.close()
        if to.way is Way.DIRECT:
            raise Broken(f"the old guest cannot reach the new one: {why_not}; what to do: --way worker")
        yield Crossing(here, far_guest, _lay_relay(here, old.shell, far.shell, far_guest, to))


def _lay_direct(here: OldGuest, far: Site, far_guest: Guest, to: Destination, made: contextlib.ExitStack, move_id: str) -> str:
    """A user for the old guest alone, and what its ssh needs. Why the new guest cannot be reached so; empty if it can."""
    try:
        login, key = made.enter_context(let_in(far.agent, user_of(f"{move_id} crossing")))
    except AgentUnknownMessage as error:
        return error.message
    made.callback(_forget_key, here)
    ssh, target = command_to(login, known_hosts=f"{here.work}/known_hosts", key=f"{here.work}/key")
    # the socket of the shared connection is named from its folder: a path to one must be short
    folder = f"cd {shlex.quote(here.work)}"
    shared = [*ssh, "-o", "ControlPath=c"]
    files = {
        "key": key,
        "known_hosts": known_host(login).encode(),
        "rsh": f'shift\n{folder}\nexec {shlex.join([*shared, "--", target])} "$@"\n'.encode(),
        "share": f"{folder}\nexec {shlex.join([*shared, '-M', '-N', '-f', '--', target])}\n".encode(),
        "leave": f"{folder}\nexec {shlex.join([*shared, '-O', 'exit', '--', target])}\n".encode(),
        "way": _way(here, far_guest, root_words(login), to),
    }
    _lay(here, files)
    tried = here.run(scripts.TRY, str(_TRIED_SECONDS), fine=(0, _NOT_REACHED))
    if tried.status != 0:
        return f"{_address(login)}: {tried.complaint}"
    here.run(scripts.SHARE)
    return ""


def _forget_key(here: OldGuest) -> None:
    with contextlib.suppress(errors.Error):  # the user that it belonged to is removed whatever happens
        here.run(scripts.FORGET)


def _lay_relay(here: OldGuest, old: Shell, far: SshShell, far_guest: Guest, to: Destination) -> Relay:
    if not isinstance(old, SshShell):
        raise errors.CloudError("there is no SSH server in the old guest, so its data cannot pass through this machine")
    _lay(here, {"rsh": scripts.RELAYED, "way": _way(here, far_guest, (), to)})
    here.run(f'set -- "$W"\n{MAKE}\n')
    return Relay(old, far, here.work, ([*_alone(far_guest), "rsync", "--server"], _taker(far_guest)))


def _alone(far_guest: Guest) -> list[str]:
    """One at a time: what a killed pass left there may still be writing."""
    return ["flock", "-w", str(_LOCK_SECONDS), f"{far_guest.work}/receiving"]


def _taker(far_guest: Guest) -> list[str]:
    return [*_alone(far_guest), "perl", f"{far_guest.work}/take", far_guest.store]


def _way(here: OldGuest, far_guest: Guest, root: Sequence[str], to: Destination) -> bytes:
    values = {
        "RSH": f"sh {shlex.quote(f'{here.work}/rsh')}",
        "FAR": shlex.join([*root, *_alone(far_guest), "rsync"]),
        "TAKER": shlex.join([*root, *_taker(far_guest)]),
        "FW": far_guest.work,
        "PACKED": "-z" if to.compress else "",
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()).encode()


def _lay(guest: Guest, files: dict[str, bytes]) -> None:
    guest.run(scripts.LAY, stdin=b"".join(name.encode() + b"\0" + content + b"\0" for name, content in files.items()))


def _address(login: Login) -> str:
    return f"{login.host}:{login.port}"
