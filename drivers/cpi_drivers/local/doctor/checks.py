"""What `cpi doctor` tells of a local cloud. Makes nothing."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cpi.contract.operator import Finding
from cpi.contract.units import mib_from_bytes
from cpi_drivers.local.agent.containers.engine import ContainerEngine
from cpi_drivers.local.host import loop_devices
from cpi_drivers.local.settings import LocalSettings

_LITTLE_MIB: Final = 1024


def examine(settings: LocalSettings) -> Iterator[Finding]:
    """The root folder, its space, disks, programs and the agent."""
    root = Path(settings.root)
    nearest = next(folder for folder in (root, *root.parents) if folder.exists())
    yield _root(root, nearest)
    yield _space(root, nearest)
    yield _disks(settings)
    yield _growth(settings)
    yield _program("cp", "copies of stemcells and snapshots")
    yield _containers()
    yield _agent(settings)


def _root(root: Path, nearest: Path) -> Finding:
    if not nearest.is_dir():
        return Finding("root folder", "fault", f"{nearest} is no folder: choose another root")
    if not os.access(nearest, os.W_OK | os.X_OK):
        return Finding(
            "root folder", "fault", f"{nearest} cannot be written by user id {os.geteuid()}: change its owner, or root"
        )
    if nearest != root:
        return Finding("root folder", "good", f"{root} will be made when first needed")
    mode = root.stat().st_mode & 0o077
    if mode:
        return Finding("root folder", "warning", f"{root} holds keys and may be entered by others: chmod 700 {root}")
    return Finding("root folder", "good", f"{root} is for its owner alone")


def _space(root: Path, nearest: Path) -> Finding:
    free = mib_from_bytes(shutil.disk_usage(nearest).free)
    detail = f"{free} MiB are free for {root}; disks are sparse and take what is written to them"
    return Finding("space", "good" if free >= _LITTLE_MIB else "warning", detail)


def _disks(settings: LocalSettings) -> Finding:
    reason = loop_devices.why_not()
    if settings.disk_backing == "folder":
        return Finding("disks", "good", "folders, as configured; their sizes are on record only")
    if not reason:
        return Finding("disks", "good", "images on loop devices")
    if settings.disk_backing == "loop":
        return Finding("disks", "fault", f"disk_backing is loop, and {reason}: take auto or folder, or mend that")
    return Finding("disks", "warning", f"folders, their sizes on record only: {reason}")


def _growth(settings: LocalSettings) -> Finding:
    """Whether disks can grow while their jobs run."""
    if settings.disk_backing == "folder" or loop_devices.why_not():
        return Finding("disks in use", "good", "folders grow in use: their new size goes on record")
    xfs, ext4 = loop_devices.why_no_growth("xfs"), loop_devices.why_no_growth("ext4")
    if xfs and ext4:
        return Finding("disks in use", "warning", f"none grows while it is mounted: xfs: {xfs}; ext4: {ext4}")
    if ext4:
        how = f"an xfs grows while it is mounted (env.persistent_disk_fs: xfs); an ext4, the default, does not: {ext4}"
        return Finding("disks in use", "good", how)
    return Finding("disks in use", "good", f"ext4 grows while it is mounted{'; xfs does not: ' + xfs if xfs else ', xfs too'}")


def _program(name: str, use: str) -> Finding:
    found = shutil.which(name)
    return Finding(name, "good", found) if found else Finding(name, "fault", f"is not installed; it makes {use}")


def _containers() -> Finding:
    try:
        engine = ContainerEngine.found()
    except ValueError as error:
        return Finding("containers", "warning", f"container jobs would be refused: {error}")
    return Finding("containers", "good", f"{engine.program} runs them with {engine.runtime}")


def _agent(settings: LocalSettings) -> Finding:
    if not settings.agent.command:
        return Finding("agent", "good", "the agent of this CPI")
    program = settings.agent.command[0]
    if os.access(program, os.X_OK) and Path(program).is_file():
        return Finding("agent", "good", program)
    return Finding("agent", "fault", f"{program}, the first of agent.command, cannot be run")
