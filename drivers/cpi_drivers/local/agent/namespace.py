"""A mount namespace of the VM's own, and its copy-on-write root. Linux and root only; all of it goes with the last process."""

import ctypes
import hashlib
import os

_CLONE_NEWNS = 0x00020000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18
_MS_SLAVE = 1 << 19
_MS_SHARED = 1 << 20
_PR_SET_PDEATHSIG = 1
_VCAP = ("bosh", "data", "instance", "jobs", "micro_bosh", "monit", "packages", "store", "store_migration_target", "sys")
_PR_SET_CHILD_SUBREAPER = 36


def isolate_mounts() -> None:
    """From here on, what this process and its children mount is seen by them alone."""
    libc = _libc()
    _check(libc.unshare(_CLONE_NEWNS), "a mount namespace of its own")
    # private to the machine, but shared with rooms within the VM: see separate_view
    for propagation in (_MS_PRIVATE, _MS_SHARED):
        _check(libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | propagation), None), "making mounts private")


def name_of_mark(vm_dir: str) -> str:
    """What tells the mounts of this VM's processes from all others, for as long as one of them lives."""
    return f"multicpi-vm-{hashlib.sha256(vm_dir.encode()).hexdigest()[:32]}"


def mark_mounts(vm_dir: str) -> None:
    """Every process of this namespace shows the VM's mark among its mounts, whatever else it lets go of."""
    place = f"{vm_dir}/mark"
    os.makedirs(place, exist_ok=True)  # noqa: PTH103 - os as in the launcher
    answer = _libc().mount(name_of_mark(vm_dir).encode(), place.encode(), b"tmpfs", ctypes.c_ulong(0), b"mode=700,size=4k")
    _check(answer, f"the VM's mark at {place}")


def show_var_vcap(vm_dir: str) -> None:
    """/var/vcap shows this VM's folders, where the host has none of its own; links, so that no disk is mounted twice."""
    place = "/var/vcap"
    try:
        os.makedirs(place, exist_ok=True)  # noqa: PTH103 - os as in the launcher
        if os.listdir(place):  # noqa: PTH208 - as above
            return
    except OSError:
        return
    _check(_libc().mount(b"multicpi-vcap", place.encode(), b"tmpfs", ctypes.c_ulong(0), b"mode=755,size=1m"), f"the VM's {place}")
    for name in _VCAP:
        os.symlink(f"{vm_dir}/root{place}/{name}", f"{place}/{name}")  # noqa: PTH211 - as above


def separate_view() -> None:
    """From here on, what this process mounts is seen by it and its children alone; what the VM mounts is seen here too."""
    libc = _libc()
    _check(libc.unshare(_CLONE_NEWNS), "a mount namespace of its own")
    _check(libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None), "making mounts one-way")


def hide(folder: str) -> None:
    """Covers a folder with an empty one."""
    answer = _libc().mount(b"tmpfs", folder.encode(), b"tmpfs", ctypes.c_ulong(0), b"mode=755,size=1m")
    _check(answer, f"an empty folder over {folder}")


def open_var_vcap() -> None:
    """From here on, /var/vcap can be entered by every user, as far as its own modes allow: this process and its children alone
    see it so. The links that are there lead through folders that are for root alone.
    """
    place = "/var/vcap"
    names = os.listdir(place)  # noqa: PTH208 - started for each process: no more imports than needed
    targets = {name: os.path.realpath(f"{place}/{name}") for name in names}
    separate_view()
    hide(place)
    for name, target in targets.items():
        if os.path.isdir(target):  # noqa: PTH112 - as above
            os.mkdir(f"{place}/{name}")  # noqa: PTH102 - as above
            answer = _libc().mount(target.encode(), f"{place}/{name}".encode(), None, ctypes.c_ulong(_MS_BIND | _MS_REC), None)
            _check(answer, f"showing {target} at {place}/{name}")


def die_with_parent(number: int) -> None:
    """From here on, this process gets the signal when its parent dies."""
    _check(_libc().prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(number), 0, 0, 0), "dying with the parent")


def inherit_orphans() -> None:
    """From here on, a process below this one that loses its parent becomes this one's child."""
    _check(_libc().prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0), "inheriting orphans")


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
