"""The libraries, as wheels: which ones, with which digests, and where they are kept.

release/wheels/NAME.txt lists what the package of that name holds beside the core, in pip's own form with digests.
"""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from release.builder import cache
from release.builder.faults import Fault
from release.builder.python_source import VERSION

ROOT: Final = Path(__file__).resolve().parents[2]
CORE: Final = "core"
CLOUDS: Final = ("aws", "cloudstack", "google", "openstack", "vcloud", "vsphere")
NEWEST_GLIBC: Final = (2, 35)  # that of the oldest line of stemcells, jammy
_LISTS: Final = ROOT / "release" / "wheels"
_HEAD: Final = "# Made by `python -m release.builder lock` from pyproject.toml and constraints.txt.\n"
_LEGACY: Final = ("manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64")


def requirements(name: str) -> bytes:
    """The list of a package's wheels."""
    return (_LISTS / f"{name}.txt").read_bytes()


def fetched(name: str) -> list[Path]:
    """The wheels of a package, fetched by pip if they are not kept; each has its listed digest."""
    wanted = requirements(name)
    folder = cache.folder() / "wheels" / f"{name}-{sha256(wanted).hexdigest()[:16]}"
    mark = folder / "complete"
    with cache.locked("wheels"):
        if not mark.exists():
            _download(["--require-hashes", "--no-deps", "--requirement", str(_LISTS / f"{name}.txt")], folder)
            mark.touch()
    return sorted(folder.glob("*.whl"))


def own(folder: Path) -> Path:
    """The project's own wheel, made in a folder by the build backend that pyproject.toml names."""
    options = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    pins = {"PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "SOURCE_DATE_EPOCH": "1577836800"}
    _pip(["wheel", "--quiet", "--no-deps", *options, "--wheel-dir", str(folder), str(ROOT)], pins)
    (made,) = folder.glob("*.whl")
    return made


def hashed(wheel: Path) -> bytes:
    """A wheel's line for a list."""
    name, version = wheel.name.split("-")[:2]
    return f"{name.replace('_', '-').lower()}=={version} --hash=sha256:{sha256(wheel.read_bytes()).hexdigest()}\n".encode()


def write_lists() -> None:
    """Write release/wheels anew."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core: set[bytes] = set()
    for name in (CORE, *CLOUDS):
        asked = [*project["dependencies"], *project["optional-dependencies"].get(name, ())]
        with tempfile.TemporaryDirectory() as folder:
            _download(["--constraint", str(ROOT / "constraints.txt"), *asked], Path(folder))
            lines = {hashed(wheel) for wheel in Path(folder).glob("*.whl")}
        (_LISTS / f"{name}.txt").write_bytes(_HEAD.encode() + b"".join(sorted(lines - core)))
        core = core or lines


def glibc_of(wheel: Path) -> tuple[int, int]:
    """The oldest glibc that a wheel runs with, by its name; (0, 0) for one without compiled code."""
    found = [(int(major), int(minor)) for major, minor in re.findall(r"manylinux_(\d+)_(\d+)_", wheel.name)]
    return min(found, default=(0, 0))


def _download(wanted: list[str], folder: Path) -> None:
    platforms = [part for tag in _platforms() for part in ("--platform", tag)]
    python = ["--implementation", "cp", "--python-version", VERSION]
    _pip(["download", "--quiet", "--only-binary", ":all:", *python, *platforms, "--dest", str(folder), *wanted])


def _platforms() -> Iterator[str]:
    major, newest = NEWEST_GLIBC
    yield from (f"manylinux_{major}_{minor}_x86_64" for minor in range(newest, 4, -1))
    yield from _LEGACY


def _pip(arguments: list[str], more: dict[str, str] | None = None) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, env={**os.environ, **(more or {})}
    )
    if done.returncode != 0:
        raise Fault(f"pip {arguments[0]} failed:\n{done.stderr or done.stdout}")
