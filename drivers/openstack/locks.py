"""One call at a time for one token: what a second call with it would make may be on its way."""

import contextlib
import fcntl
import hashlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def held(folder: Path, token: str | None) -> Iterator[None]:
    """Held for the block, against all threads and processes of this machine; the kernel frees it from the dead."""
    if token is None:
        yield
        return
    slot = hashlib.sha256(token.encode()).hexdigest()[:3]  # a few files for ever, instead of one for each token
    with (folder / f"openstack-call-{slot}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
