"""One call at a time for one name: what a second call would make or change may be on its way."""

import contextlib
import fcntl
import hashlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def held(folder: Path, kind: str, name: str | None) -> Iterator[None]:
    """Held for the block, against all threads and processes of this machine; the kernel frees it from the dead.

    A block may hold one lock of each kind, never two of one: different names may share a file.
    """
    if name is None:
        yield
        return
    slot = hashlib.sha256(name.encode()).hexdigest()[:3]  # a few files for ever, instead of one for each name
    with (folder / f"vsphere-{kind}-{slot}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
