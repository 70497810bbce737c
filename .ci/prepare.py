"""Makes ready what `make` needs: programs of the system, and .venv from pyproject.toml and constraints.txt.

    python3 .ci/prepare.py demo|containers|test

Does nothing when nothing is missing. As root on Debian it installs what is missing; anyone else is told by name what is
left out. Runs on the system's Python, before anything of the project is there, so it uses the standard library alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "prepared.json"
POLICY = Path("/usr/sbin/policy-rc.d")
MARK = "# Written by multicpi's .ci/prepare.py: no service is started while it installs packages."
WANTED = Path("/etc/systemd/system")
LOCK = Path("/run/lock/multicpi-prepare.lock")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LEAST_PYTHON = (3, 11)
EXTRAS = {"demo": [], "containers": [], "test": ["all", "dev"]}
DISKS = "disks with a file system of their own"
LIVE = "moves of disks while their jobs run"
CONTAINERS = "container jobs"
VCENTER = "tests against a vCenter"
GOCODE = Path("/usr/share/gocode/src")
SOURCES = {
    "github.com/vmware/govmomi": ("golang-github-vmware-govmomi-dev", VCENTER),
    "github.com/google/uuid": ("golang-github-google-uuid-dev", VCENTER),
    "golang.org/x/text": ("golang-golang-x-text-dev", VCENTER),
    "gopkg.in/yaml.v3": ("golang-gopkg-yaml.v3-dev", VCENTER),
}
INCLUDED = Path("/usr/include")
RELEASE = "tests of the BOSH release"
HEADERS = {
    "bzlib.h": ("libbz2-dev", RELEASE),
    "ffi.h": ("libffi-dev", RELEASE),
    "lzma.h": ("liblzma-dev", RELEASE),
    "openssl/ssl.h": ("libssl-dev", RELEASE),
    "sqlite3.h": ("libsqlite3-dev", RELEASE),
    "zlib.h": ("zlib1g-dev", RELEASE),
}
PROGRAMS = {
    "demo": {
        "losetup": ("mount", DISKS),
        "mkfs.ext4": ("e2fsprogs", DISKS),
        "unshare": ("util-linux", DISKS),
        "rsync": ("rsync", LIVE),
    },
    "containers": {
        "podman": ("podman", CONTAINERS),
        "runc": ("runc", CONTAINERS),
    },
    "test": {
        "mkfs.xfs": ("xfsprogs", "tests with xfs"),
        "setfacl": ("acl", "tests of access lists"),
        "setfattr": ("attr", "tests of extended attributes"),
        "postgres": ("postgresql", "tests of fleets"),
        "busybox": ("busybox-static", CONTAINERS),
        "promtool": ("prometheus", "the check of the alert rules"),
        "ssh": ("openssh-client", "tests of shells in guests"),
        "sshd": ("openssh-server", "tests of shells in guests"),
        "go": ("golang-go", VCENTER),
        "qemu-system-x86_64": ("qemu-system-x86", "tests in QEMU guests"),
        "sfdisk": ("fdisk", "tests in QEMU guests"),
        "pgrep": ("procps", "tests of shells in guests"),
        "chromium": ("chromium", "tests of pages in a browser"),
        "git": ("git", "tests of the project's own files"),
        "ruby": ("ruby", RELEASE),
        "gcc": ("gcc", RELEASE),
        "make": ("make", RELEASE),
    },
}


def main(purpose: str) -> None:
    """Make everything ready that the purpose needs."""
    if sys.version_info < LEAST_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"Python 3.11 or newer is needed, {sys.executable} is {found}; name another: make {purpose} PYTHON=python3.12")
    prepare_programs(purpose)
    prepare_venv(EXTRAS[purpose])


def prepare_programs(purpose: str) -> None:
    """Install the programs that are missing, or tell what goes without them."""
    wanted = PROGRAMS["demo"]
    if purpose != "demo":
        wanted = {**wanted, **PROGRAMS["containers"]}
    if purpose == "test":
        wanted = {**wanted, **PROGRAMS["test"], **SOURCES, **HEADERS}
    missing = {program: wanted[program] for program in wanted if not has_program(program)}
    if not missing:
        return
    if may_install():
        install(sorted({package for package, _ in missing.values()}))
        return
    for program, (package, use) in sorted(missing.items()):
        say(f"left out: {use}: {program} is missing (Debian package {package})")


def prepare_venv(extras: list[str]) -> None:
    """Make .venv, or bring it up to date when pyproject.toml or constraints.txt changed."""
    files = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files) + str(ROOT).encode()).hexdigest()
    done = json.loads(STAMP.read_text()) if STAMP.exists() else {"digest": "", "extras": []}
    if done["digest"] == digest and set(extras) <= set(done["extras"]):
        return
    if not (VENV / "bin" / "pip").exists():  # what comes last when an environment is made
        say(f"making .venv with {sys.executable}")
        make_venv()
    extras = sorted({*extras, *done["extras"]})
    STAMP.write_text(json.dumps({"digest": "", "extras": done["extras"]}))  # neither the old nor the new until pip is done
    chosen = f"[{','.join(extras)}]" if extras else ""
    say(f"installing multicpi{chosen} into .venv")
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run([*pip, "--constraint", str(ROOT / "constraints.txt"), "--editable", f"{ROOT}{chosen}"])
    STAMP.write_text(json.dumps({"digest": digest, "extras": extras}))


def make_venv() -> None:
    """A new .venv; Debian keeps what `venv` needs in a package of its own."""
    try:
        import ensurepip  # noqa: F401 - only whether it is there counts
    except ImportError:
        package = f"python3.{sys.version_info[1]}-venv"
        if not may_install():
            sys.exit(f"{sys.executable} cannot make virtual environments: install the package {package}")
        install([package])
    run([sys.executable, "-m", "venv", "--clear", str(VENV)])


def has_program(name: str) -> bool:
    """Whether a program is there, a source of Go's or a header; programs for administrators are often not on others' PATH."""
    if name in SOURCES:
        return (GOCODE / name).is_dir()
    if name in HEADERS:
        return (INCLUDED / name).is_file() or any(INCLUDED.glob(f"*-linux-gnu/{name}"))
    servers = [str(folder) for folder in Path("/usr/lib/postgresql").glob("*/bin")]
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", *servers])
    return shutil.which(name, path=path) is not None


def may_install() -> bool:
    """Whether packages of Debian can be installed."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: list[str]) -> None:
    """Install packages of Debian."""
    say(f"installing packages: {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=600"]
    run([*apt, "update"], environment)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with signals_wait(), no_service_started():
            run([*apt, "install", "--yes", "--no-install-recommends", *packages], environment)


@contextlib.contextmanager
def signals_wait() -> Iterator[None]:
    """Packages are not left half installed: a signal ends this program when they are done."""
    came: list[int] = []

    def note(number: int, _: object) -> None:
        came.append(number)
        say(f"{signal.Signals(number).name}: ends when the packages are installed")

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            sys.exit(128 + came[0])


@contextlib.contextmanager
def no_service_started() -> Iterator[None]:
    """Tests start servers of their own: installing one must not open a door on this machine, now or at its next boot."""
    forbidding = not POLICY.exists() or MARK in POLICY.read_text()
    if forbidding:
        # It forbids only while LOCK is held: a killed process leaves nothing that keeps others' services from starting.
        POLICY.write_text(f"#!/bin/sh\n{MARK}\nflock --nonblock {LOCK} true || exit 101\n")
        POLICY.chmod(0o755)
    enabled, packages = services(), installed()
    try:
        yield
    finally:
        if forbidding:
            POLICY.unlink()
        own = units_of(installed() - packages)
        for service in sorted(services() - enabled):
            if service.name in own:  # any other was enabled by somebody else meanwhile
                service.unlink()
                say(f"not started at boot: {service.name}; to change that: systemctl enable {service.name}")


def services() -> set[Path]:
    """What systemd starts at boot."""
    return set(WANTED.glob("*.wants/*.service")) | set(WANTED.glob("*.wants/*.socket"))


def installed() -> set[str]:
    """The packages of Debian that are there."""
    told = told_by(["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev} ${binary:Package}\n"])
    return {line.split()[-1] for line in told if line.startswith("ii")}


def units_of(packages: set[str]) -> set[str]:
    """The names of the units that these packages brought."""
    files = told_by(["dpkg-query", "--listfiles", *sorted(packages)]) if packages else []
    return {Path(file).name for file in files if "/systemd/system/" in file}


def told_by(command: list[str]) -> list[str]:
    """The lines that a command prints."""
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout.splitlines()


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a command; what it says is shown only if it fails."""
    apart = command[0] == "apt-get"  # a Ctrl-C at the terminal does not reach it: see signals_wait
    done = subprocess.run(
        command,
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=apart,
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        sys.exit(f"failed ({done.returncode}): {' '.join(command)}")


def say(text: str) -> None:
    """Tell what is done, beside the output of what comes after."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main(sys.argv[1])
