"""A disk's content onto another: everything, with owners, times, hard links, extended attributes and holes."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

from cpi_drivers.local.agent.commands import Commands
from cpi_drivers.local.agent.faults import Fault

_LINES_TOLD = 3
_NEXT_TO_NOTHING_BYTES = 65536
_FIRST_OF_A_FILESYSTEM = "lost+found"


async def copy_content(commands: Commands, source: Path, target: Path) -> None:
    """Copies what is under source to target, on the disk when this returns. Raises Fault with what the tools said."""
    copy = _by_cp if sys.platform == "linux" else _by_tar
    said = await copy(commands, source, target)
    if said is not None:
        full = "No space left on device: " if _is_full(target) else ""
        lines = said.decode(errors="replace").strip().splitlines()
        raise Fault(f"Copying {source} to {target}: {full}{'; '.join(lines[:_LINES_TOLD]) or 'failed without a word'}")
    await _flush(commands, target)


async def _by_cp(commands: Commands, source: Path, target: Path) -> bytes | None:
    """What it complained of; None if all was copied. A pipe of tar takes every byte through more hands."""
    process = await commands.start(["cp", "-a", "--preserve=xattr", "--", f"{source}/.", str(target)])
    (complaint,) = await _complaints(process)
    return complaint if process.returncode else None


async def _by_tar(commands: Commands, source: Path, target: Path) -> bytes | None:
    """The same where cp knows neither attributes nor holes."""
    reading, writing = os.pipe()
    try:
        read = await commands.start(["tar", "-C", str(source), "-cf", "-", "."], stdout=writing)
        write = await commands.start(["tar", "-C", str(target), "-xpf", "-"], stdin=reading)
    finally:
        os.close(reading)
        os.close(writing)
    of_reading, of_writing = await _complaints(read, write)
    # a full target ends the reader too; what it says of its broken pipe is not the cause
    return of_writing if write.returncode else of_reading if read.returncode else None


async def _complaints(*processes: asyncio.subprocess.Process) -> list[bytes]:
    try:
        return [errors for _, errors in await asyncio.gather(*(process.communicate() for process in processes))]
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()


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
