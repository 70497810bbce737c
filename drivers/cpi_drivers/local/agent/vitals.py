"""How the VM does, in the strings that get_state ["full"] answers. CPU, memory and load are the host's: a local VM has no own."""

import os
import time
from pathlib import Path
from typing import Any

import psutil

from cpi.contract.units import bytes_from_mib
from cpi_drivers.local.agent.folder_disk import recorded_size, used_bytes


def vitals(root: Path, ephemeral: Path, persistent: Path | None) -> dict[str, Any]:
    """The figures since they were asked last; persistent is where a disk is mounted, None if none is."""
    cpu = psutil.cpu_times_percent()
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    disks = {"system": _fill(root), "ephemeral": _fill(ephemeral)}
    if persistent is not None:
        disks["persistent"] = _fill_of_folder_disk(persistent.resolve()) if persistent.is_symlink() else _fill(persistent)
    return {
        "cpu": {"sys": f"{cpu.system:.1f}", "user": f"{cpu.user:.1f}", "wait": f"{getattr(cpu, 'iowait', 0.0):.1f}"},
        "disk": disks,
        "load": [f"{load:.2f}" for load in psutil.getloadavg()],
        "mem": {"kb": str((memory.total - memory.available) // 1024), "percent": f"{memory.percent:.0f}"},
        "swap": {"kb": str(swap.used // 1024), "percent": f"{swap.percent:.0f}"},
        "uptime": {"secs": int(time.time() - psutil.Process().create_time())},
    }


def _fill(path: Path) -> dict[str, str]:
    status = os.statvfs(path)
    return {
        "inode_percent": _percent(status.f_files - status.f_ffree, status.f_files),
        "percent": _percent(status.f_blocks - status.f_bfree, status.f_blocks),
    }


def _fill_of_folder_disk(folder: Path) -> dict[str, str]:
    # the folder's filesystem is the host's: how full that is says nothing of the disk
    size = recorded_size(folder)
    return (
        _fill(folder) if size is None else {"inode_percent": "0", "percent": _percent(used_bytes(folder), bytes_from_mib(size))}
    )


def _percent(used: int, total: int) -> str:
    return str(round(100 * used / total)) if total else "0"
