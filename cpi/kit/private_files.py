"""What short processes leave for the next: files of one user, readable by nobody else.

Each CPI call is a process. A login, a session or a list of hardware types that it could not hand on would be asked for anew.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cpi.contract import errors

_log = logging.getLogger(__name__)


def folder(wished: str | None = None) -> Path:
    """Where this user's files lie; made if it is missing, closed to others. Default: $XDG_CACHE_HOME/multicpi, ~/.cache/multicpi.

    Raises CpiError if the one that was wished for, or all there is, is in the hands of somebody else: who can write there could
    put certificates to trust in the place of ours.
    """
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - it never fails
    path = Path(wished) if wished else Path(root) / "multicpi"
    usable = _usable(path)
    if wished and usable and (whose := _in_other_hands(path.stat())):
        raise errors.CpiError(f"cache_folder {path} {whose}: choose a folder that only this user can write to")
    if not usable or _in_other_hands(path.stat()):
        path = Path(tempfile.gettempdir()) / f"multicpi-{os.getuid()}"
        if not _usable(path) or path.lstat().st_uid != os.getuid() or path.is_symlink() or _in_other_hands(path.stat()):
            raise errors.CpiError(f"no folder to store logins in: {path} belongs to another user; set cache_folder")
    return path


def optional_folder(wished: str | None = None) -> Path | None:
    """As folder(); None where there is none to use: for what a process can do without."""
    try:
        return folder(wished)
    except errors.CpiError as error:
        _log.info("nothing is kept for the next process: %s", error.message)
        return None


def named(place: Path, kind: str, *whose: str | None) -> Path:
    """The file for these credentials and this endpoint: by a hash of them, secrets included."""
    digest = hashlib.sha256(json.dumps(whose).encode()).hexdigest()
    return place / f"{kind}-{digest[:32]}.json"


def read(path: Path) -> Any:
    """The document; None for what is not there, spoilt, or readable by others: they may have written it."""
    try:
        facts = path.stat()
        if facts.st_uid != os.getuid() or facts.st_mode & 0o077:
            _log.warning("%s can be read by others and is not used", path)
            return None
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def keep(path: Path, document: object) -> None:
    """Write it as JSON, whole or not at all. What cannot be written is logged, and costs the next process time."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, json.dumps(document))
    except OSError as error:
        _log.info("%s was not saved for the next process: %s", path.name, error)


def write_whole(path: Path, text: str) -> None:
    """A file that only its owner can read, whole or not at all, whoever else writes it at the same time. Raises OSError."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
    try:
        with open(number, "w", encoding="utf-8") as file:  # noqa: PTH123 - a file descriptor
            file.write(text)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def certificates(place: Path, pem: str) -> str:
    """The path of a file with them, for what takes nothing else. Raises OSError."""
    path = place / f"ca-{hashlib.sha256(pem.encode()).hexdigest()[:16]}.pem"
    write_whole(path, pem)
    return str(path)


def forget(path: Path) -> None:
    """It is refused, or over."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.info("%s was not deleted: %s", path.name, error)


@contextlib.contextmanager
def one_at_a_time(place: Path, kind: str, name: str | None) -> Iterator[None]:
    """Held for the block against all threads and processes of this machine; the kernel frees it from the dead.

    What a second call for one name (a token, a VM) would make may be on its way. Without a name there is nothing to hold. A block
    may hold one of each kind, never two of one: different names may share a file.
    """
    if name is None:
        yield
        return
    slot = hashlib.sha256(name.encode()).hexdigest()[:3]  # a few files for ever, instead of one for each name
    with (place / f"{kind}-{slot}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _in_other_hands(facts: os.stat_result) -> str:
    """What is wrong with a folder's owner or mode; root may write everywhere as it is."""
    if facts.st_uid not in {os.getuid(), 0}:
        return f"belongs to user id {facts.st_uid}"
    return "is writable by everyone" if facts.st_mode & stat.S_IWOTH else ""


def _usable(path: Path) -> bool:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(path, os.W_OK | os.X_OK)
