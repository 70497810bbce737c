"""CPython's source: its upstream archive, from a file that is given or from Debian's source packages."""

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from release.builder import cache
from release.builder.archives import PLAIN, PROGRAM, Entry
from release.builder.faults import Fault

VERSION: Final = "3.13.5"
DIGEST: Final = "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640"
SOURCE_PACKAGE: Final = "python3.13"
_SUITES: Final = ("trixie",)
_HINT: Final = f"give the archive of CPython {VERSION}'s source (Python-{VERSION}.tar.xz): --python-source FILE"

# Documents, tests, and what is for other systems or for a screen.
_LEFT_OUT: Final = (
    "Android/", "Doc/", "InternalDocs/", "Lib/_pyrepl/", "Lib/idlelib/", "Lib/pydoc_data/", "Lib/test/", "Lib/tkinter/",
    "Lib/turtle.py", "Lib/turtledemo/", "Mac/", "Misc/NEWS.d/", "Modules/_ctypes/darwin/",
    "Modules/_testcapi/", "Modules/_xxtestfuzz/",
    "Modules/cjkcodecs/", "PC/", "PCbuild/", "Tools/", "iOS/",
)  # fmt: skip
_KEPT: Final = ("Tools/build/", "Tools/freeze/flag.py", "Tools/gdb/libpython.py", "Tools/scripts/")


def archive(given: Path | None = None) -> Path:
    """The archive, with the digest that it must have. Raises Fault that says what to do."""
    kept = cache.folder() / "sources" / f"{DIGEST}.tar.xz"
    with cache.locked("sources"):
        if given is not None:
            _keep(given, kept)
        elif not kept.exists():
            with tempfile.TemporaryDirectory() as folder:
                _keep(_fetched(Path(folder)), kept)
    return kept


def entries(source: Path) -> Iterator[Entry]:
    """What of it is built."""
    with tarfile.open(source) as tar:
        for member in tar:
            _, _, name = member.name.partition("/")
            if member.isfile() and (name.startswith(_KEPT) or not name.startswith(_LEFT_OUT)):
                held = tar.extractfile(member)
                yield Entry(f"python/{name}", held.read() if held else b"", PROGRAM if member.mode & 0o100 else PLAIN)


def recipe() -> bytes:
    """What decides about the entries, for a fingerprint."""
    return "\n".join((DIGEST, *_LEFT_OUT, *_KEPT)).encode()


def _keep(found: Path, kept: Path) -> None:
    data = found.read_bytes()
    digest = sha256(data).hexdigest()
    if digest != DIGEST:
        raise Fault(f"{found} is not the source of CPython {VERSION}: its sha256 is {digest}, not {DIGEST}")
    cache.keep(kept, data)


def _fetched(folder: Path) -> Path:
    """By apt, with lists of its own: the machine's sources stay as they are. Debian's .orig is upstream's archive."""
    if shutil.which("apt-get") is None:
        raise Fault(f"there is no apt-get here; {_HINT}")
    lists = folder / "sources.list"
    lists.write_text("".join(f"deb-src {mirror} {suite} main\n" for mirror in _mirrors() for suite in _SUITES), encoding="utf-8")
    for name in ("lists/partial", "cache/archives/partial", "state"):
        (folder / name).mkdir(parents=True)
    settings = {
        "Dir::Etc::SourceList": lists, "Dir::Etc::SourceParts": "-", "Dir::State": folder / "state",
        "Dir::State::Lists": folder / "lists", "Dir::Cache": folder / "cache", "APT::Sandbox::User": "root",
    }  # fmt: skip
    options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    for command in (["update"], ["source", "--download-only", "--only-source", SOURCE_PACKAGE]):
        done = subprocess.run(
            ["apt-get", *options, "--quiet", *command], check=False, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL,
            text=True, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
        if done.returncode != 0:
            raise Fault(f"the source package {SOURCE_PACKAGE} cannot be fetched; {_HINT}\n{done.stdout}{done.stderr}")
    found = folder / f"{SOURCE_PACKAGE}_{VERSION}.orig.tar.xz"
    if not found.exists():
        raise Fault(f"the source package {SOURCE_PACKAGE} is not of {VERSION} any more; {_HINT}")
    return found


def _mirrors() -> list[str]:
    """Where this machine's packages of Debian come from."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]
    told = subprocess.run(asked, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    lines = (line.split() for line in told.splitlines())
    mirrors = dict.fromkeys(uri for uri, suite in lines if "-" not in suite and uri.rstrip("/").endswith("/debian"))
    if not mirrors:
        raise Fault(f"no mirror of Debian is among this machine's package sources; {_HINT}")
    return list(mirrors)
