"""A disk's content onto another: everything, with owners, times, hard links, extended attributes and holes."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

from drivers.local.agent.commands import Commands
from drivers.local.agent.faults import Fault

_LINES_TOLD = 3
_NEXT_TO_NOTHING_BYTES = 65536
_FIRST_OF_A_FILESYSTEM = "lost+found"
_ATTRIBUTES = ("--xattrs", "--xattrs-include=*", "--acls") if sys.platform == "linux" else ()
_SPARSE = ("--sparse", "--numeric-owner") if sys.platform == "linux" else ()


async def copy_content(commands: Commands, source: Path, target: Path) -> None:
    """Copies what is under source to target, on the disk when this returns. Raises Fault with what the tools said."""
    reading, writing = os.pipe()
    try:
        read = await commands.start(["tar", "-C", str(source), *_ATTRIBUTES, *_SPARSE, "-cf", "-", "."], stdout=writing)
        write = await commands.start(["tar", "-C", str(target), *_ATTRIBUTES, "-xpf", "-"], stdin=reading)
    finally:
        os.close(reading)
        os.close(writing)
    try:
        (_, read_errors), (_, write_errors) = await asyncio.gather(read.communicate(), write.communicate())
    finally:
        for process in (read, write):
            if process.returncode is None:
                process.kill()
    if write.returncode or read.returncode:
        # a full target ends the reader too; what it says of its broken pipe is not the cause
        said = (write_errors if write.returncode else read_errors).decode(errors="replace").strip().splitlines()
        full = "No space left on device: " if _is_full(target) else ""
        raise Fault(f"Copying {source} to {target}: {full}{'; '.join(said[:_LINES_TOLD]) or 'tar failed without a word'}")
    await _flush(commands, target)


def _is_full(target: Path) -> bool:
    status = os.statvfs(target)
    out_of_inodes = status.f_files > 0 and status.f_favail == 0
    return out_of_inodes or status.f_bavail * status.f_frsize < _NEXT_TO_NOTHING_BYTES


async def _flush(commands: Commands, target: Path) -> None:
    if sys.platform == "linux":
        await commands.run("sync", "--file-system", str(target))
    else:
        await asyncio.to_thread(os.sync)


def is_fresh(target: Path) -> bool:
    """Whether nothing lies there but what a new filesystem has."""
    return all(entry.name == _FIRST_OF_A_FILESYSTEM for entry in target.iterdir())


def clear(target: Path) -> None:
    """Removes what an interrupted copy left."""
    for entry in target.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            if entry.name != _FIRST_OF_A_FILESYSTEM:
                shutil.rmtree(entry)
        else:
            entry.unlink()
