"""A filesystem that holds still while its image is copied."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cpi.contract import errors
from cpi_drivers.local.disks import freezer

_LONGEST_SECONDS: Final = 600


def mount_points(pids: list[int], numbers: frozenset[str]) -> list[Path]:
    """Where the processes have one of the devices mounted, as paths that lead there from outside of their namespace."""
    found: dict[str, Path] = {}
    for pid in pids:
        for line in _mounts(pid):
            fields = line.split(" ")
            if fields[2] in numbers:
                point = (
                    fields[4]
                    .encode(errors="surrogateescape")
                    .decode("unicode_escape")
                    .encode("latin-1")
                    .decode(errors="surrogateescape")
                )
                found.setdefault(fields[2], Path(f"/proc/{pid}/root{point}"))
    return list(found.values())


@contextlib.contextmanager
def frozen(points: list[Path]) -> Iterator[None]:
    """Nothing is written to the filesystems at points while in the block; they are thawed also if this process is killed.

    Raises CloudError if one cannot be frozen, or if they had to be thawed before the block ended.
    """
    if not points:
        yield
        return
    # in a session of its own, so that what stops this process does not reach it before its stdin ends
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", freezer.__file__, str(_LONGEST_SECONDS), *map(str, points)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with child:
        ended = False
        try:
            answer = os.read(child.stdout.fileno(), 16) if child.stdout else b""
            if answer == freezer.FROZEN:
                yield
                ended = True
        finally:
            _, said = child.communicate()
    if not ended or child.returncode != 0:
        raise errors.CloudError(f"the disk could not be held still while it was copied: {said.decode(errors='replace')}")


def _mounts(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
