"""Loop devices: a file as a block device. Linux and root only."""

import fcntl
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from cpi.contract import errors
from cpi.kit.waiting import wait_until

_CONTROL: Final = "/dev/loop-control"
_GET_FREE: Final = 0x4C82
_MOUNTS_ALLOWED: Final = 1 << 21
_PROGRAMS: Final = ("losetup", "mkfs.ext4")
_GROWING: Final = {"ext4": ("resize2fs",), "xfs": ("mkfs.xfs", "xfs_growfs")}
_CAP_SYS_RESOURCE: Final = 24
_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"
_RELEASE_SECONDS: Final = 15.0
_SECTOR: Final = 512


def why_not() -> str:
    """Why there are no loop devices here; empty if there are. Makes nothing."""
    if sys.platform != "linux":
        return "loop devices exist on Linux only"
    if not _may_mount():
        return "loop devices need root with the right to mount (CAP_SYS_ADMIN)"
    for program in _PROGRAMS:
        if not shutil.which(program, path=program_path()):
            return f"{program} is not installed"
    try:
        return _device_missing()
    except OSError as error:
        return f"{_CONTROL} cannot be used: {error.strerror}"


def why_no_growth(filesystem: str) -> str:
    """Why a mounted ext4 or xfs cannot grow here; empty if it can."""
    for program in _GROWING[filesystem]:
        if not shutil.which(program, path=program_path()):
            return f"{program} is not installed"
    return "root lacks CAP_SYS_RESOURCE" if filesystem == "ext4" and not _has(_CAP_SYS_RESOURCE) else ""


def _has(capability: int) -> bool:
    said = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    effective = next((line.split()[1] for line in said.splitlines() if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> capability & 1)


def program_path() -> str:
    """Where programs are looked for: a director's PATH may lack those of the system."""
    return f"{os.environ.get('PATH', os.defpath)}:{_SBIN}"


def device_of(image: Path) -> str:
    """The loop device of an image, empty if it has none."""
    found = _losetup("--associated", str(image), "--output", "NAME", "--noheadings").split()
    return found[0] if found else ""


def connect(image: Path) -> str:
    """The loop device of an image, set up if it has none: never a second one."""
    return _losetup("--find", "--show", "--nooverlap", "--partscan", str(image)).strip()


def wait_until_unused(image: Path, what: str) -> None:
    """Returns when nobody has the image's device mounted or claimed. Raises CloudError, naming what, if that does not end."""
    device = device_of(image)
    if device:
        wait_until(lambda: not _claimed(device), f"{what}: its device {device} is in use", deadline_seconds=_RELEASE_SECONDS)


def disconnect(image: Path) -> None:
    """Take away the image's device; none is fine. Returns when it is gone."""
    device = device_of(image)
    if not device:
        return
    try:
        _losetup("--detach", device)
    except errors.CloudError:
        if device_of(image) == device:
            raise
    # another program that looks into the device (a scan for filesystems) delays its end
    wait_until(lambda: device_of(image) != device, f"{device} was not freed", deadline_seconds=_RELEASE_SECONDS)


def take_size(image: Path) -> None:
    """Let the image's device, if it has one, be as large as the image has become; also while it is mounted."""
    device = device_of(image)
    if device and _size(device) != image.stat().st_size:
        _losetup("--set-capacity", device)


def _size(device: str) -> int:
    return int((Path("/sys/class/block") / Path(device).name / "size").read_text(encoding="ascii")) * _SECTOR


def numbers(device: str) -> frozenset[str]:
    """The device and its partitions as the kernel writes them in lists of mounts: "7:3"."""
    folder = Path("/sys/class/block") / Path(device).name
    found = [folder / "dev", *folder.glob(f"{folder.name}p*/dev")]
    return frozenset(path.read_text(encoding="ascii").strip() for path in found if path.exists())


def _claimed(device: str) -> bool:
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _may_mount() -> bool:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) & _MOUNTS_ALLOWED)
    return False


def _device_missing() -> str:
    control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        device = f"/dev/loop{fcntl.ioctl(control, _GET_FREE)}"
    finally:
        os.close(control)
    return "" if Path(device).exists() else f"{device} does not exist"


def _losetup(*arguments: str) -> str:
    import subprocess

    environment = {"PATH": program_path(), "LC_ALL": "C"}
    done = subprocess.run(["losetup", *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise errors.CloudError(f"losetup {' '.join(arguments)}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout
