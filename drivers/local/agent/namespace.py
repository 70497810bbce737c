"""A mount namespace of the VM's own, and its copy-on-write root. Linux and root only; all of it goes with the last process."""

import ctypes
import os

_CLONE_NEWNS = 0x00020000
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18


def isolate_mounts() -> None:
    """From here on, what this process and its children mount is seen by them alone."""
    libc = _libc()
    _check(libc.unshare(_CLONE_NEWNS), "a mount namespace of its own")
    _check(libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "making mounts private")


def mount_overlay(lower: str, vm_dir: str) -> None:
    """Mounts lower, with what this VM changes of it, at vm_dir/root; the changes are kept in vm_dir/overlay."""
    upper, work, root = f"{vm_dir}/overlay/upper", f"{vm_dir}/overlay/work", f"{vm_dir}/root"
    for folder in (upper, work, root):
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - os as in the launcher
    options = f"lowerdir={_escaped(lower)},upperdir={_escaped(upper)},workdir={_escaped(work)}"
    if len(options) >= os.sysconf("SC_PAGESIZE"):
        raise ValueError(f"the paths of the overlay at {root} are too long for the kernel")
    answer = _libc().mount(b"overlay", root.encode(), b"overlay", ctypes.c_ulong(0), options.encode())
    _check(answer, f"an overlay of {lower} at {root}")


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(answer: int, what: str) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what} was refused: {os.strerror(number)}")
