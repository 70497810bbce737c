"""The control groups of a VM's containers: the kernel ends what is in a room, and leaves its empty groups."""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")


def cgroup_of(vm_dir: str, container: str = "") -> str:
    """The group below which the engine makes those of a container, or of all containers of a VM."""
    vm = f"multicpi-{hashlib.sha256(vm_dir.encode()).hexdigest()[:24]}"
    return f"/{vm}/{container}" if container else f"/{vm}"


def remove_cgroups(cgroup: str, root: Path = _ROOT) -> None:
    """Removes a group and those below it in every hierarchy; one that still holds processes stays."""
    for hierarchy in (root, *(path for path in root.glob("*") if path.is_dir())):
        top = hierarchy / cgroup.lstrip("/")
        if top.is_dir():
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
