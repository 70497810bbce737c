"""What is mounted, as the kernel says, and who keeps it busy."""

import os
from pathlib import Path

from cpi_drivers.local.agent.faults import Fault


def device_mounted_at(point: Path) -> int | None:
    """The number of the device mounted there, None if there is no mount."""
    wanted = os.path.realpath(point)
    found = None
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields = line.split(" ")
        if _unescaped(fields[4]) == wanted:
            major, minor = fields[2].split(":")
            found = os.makedev(int(major), int(minor))
    return found


def _unescaped(path: str) -> str:
    return path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def holders(point: Path) -> str:
    """The processes with a file or their folder below point, in words for a message."""
    found = [f"{name} (pid {pid})" for pid, name in _using(os.path.realpath(point))]
    return f"; in use by {', '.join(found)}" if found else ""


def _using(folder: str) -> list[tuple[int, str]]:
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            paths = [process.cwd(), *(file.path for file in process.open_files())]
            if any(path == folder or path.startswith(f"{folder}/") for path in paths):
                found.append((process.pid, process.name()))
        except (psutil.Error, OSError):
            continue
    return found


def busy(fault: Fault, point: Path) -> Fault:
    """The fault, with the names of those who keep the mount busy."""
    return Fault(f"{fault}{holders(point)}")
