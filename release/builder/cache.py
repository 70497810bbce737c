"""What was fetched or made once, kept by its digest in the user's cache."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def folder() -> Path:
    """Where it lies: $MULTICPI_RELEASE_CACHE, or multicpi/release in the user's cache."""
    named = os.environ.get("MULTICPI_RELEASE_CACHE")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = Path(named) if named else cache / "multicpi" / "release"
    place.mkdir(parents=True, exist_ok=True)
    return place


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time makes what is kept under this name."""
    with (folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def keep(path: Path, data: bytes) -> None:
    """The whole file or none of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_bytes(data)
    part.replace(path)
