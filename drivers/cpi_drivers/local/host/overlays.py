"""Whether a VM's root can be an overlay of its stemcell."""

import os
from pathlib import Path
from typing import Final

_CAN_NOT: Final = frozenset({"overlay", "aufs", "nfs", "nfs4", "cifs", "9p", "virtiofs", "vfat", "zfs"})
"""Filesystems that cannot hold what an overlay changes."""


def possible(root: Path) -> bool:
    """Whether folders below root can hold an overlay's changes."""
    kind = _filesystem_of(root)
    return kind not in _CAN_NOT and not kind.startswith("fuse")


def _filesystem_of(root: Path) -> str:
    device = root.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields = line.split(" ")
        if fields[2] == number:
            return fields[fields.index("-") + 1]
    return ""
