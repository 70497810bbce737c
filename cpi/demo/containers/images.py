"""Root folders of containers, made on the spot from packages of the machine's own sources, and kept in the user's cache."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cpi.contract import errors
from cpi.kit.private_files import folder

_TOOLS: Final = ("apt-get", "dpkg-deb", "tar")
_MERGED: Final = ("bin", "lib", "lib64", "sbin")
_LINES: Final = 5
_SECONDS: Final = 600
_USERS: Final = "root:x:0:0:root:/root:/bin/sh\ndata:x:999:999::/nonexistent:/bin/sh\n"
_GROUPS: Final = "root:x:0:\ndata:x:999:\n"
_REDIS: Final = ("redis-server",)
_POSTGRES: Final = ("postgresql", "dash", "coreutils")
_RUN_POSTGRES: Final = """#!/bin/sh
set -e
tools=$(echo /usr/lib/postgresql/*/bin)
if [ ! -d /data/database ]; then
  rm -rf /data/unfinished
  "$tools/initdb" --pgdata /data/unfinished --username demo --auth trust --encoding UTF8 --locale C
  sync
  mv /data/unfinished /data/database
fi
rm -f /data/database/postmaster.pid
exec "$tools/postgres" -D /data/database -h "$BOSH_ADDRESS" -p "$PORT" -k /tmp
"""


def redis_root() -> Path:
    """With redis-server."""
    return _made(_REDIS, {})


def postgres_root() -> Path:
    """With PostgreSQL, and /run-postgres, which makes the database where there is none."""
    return _made(_POSTGRES, {"run-postgres": _RUN_POSTGRES})


def _made(packages: Sequence[str], programs: dict[str, str]) -> Path:
    """The root folder with these packages and all they depend on, and these programs. Raises CloudError if it cannot be made."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise errors.CloudError(f"images are made from Debian packages, and {', '.join(missing)} is not here")
    files = _files_of(packages)
    digest = hashlib.sha256(repr((files, sorted(programs.items()), _USERS)).encode()).hexdigest()[:16]
    place = folder() / "images" / f"{packages[0]}-{digest}"
    if place.exists():
        return place
    place.parent.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="new-") as draft:
        archives, root = Path(draft, "archives"), Path(draft, "root")
        _download(packages, archives)
        _unpack(sorted(archives.glob("*.deb")), root)
        _furnish(root, programs)
        # another process may have been faster
        with contextlib.suppress(OSError):
            root.rename(place)
    return place


def _files_of(packages: Sequence[str]) -> list[str]:
    """The names of the package files, as the machine's lists have them."""
    output = _run(*_apt("--print-uris"), *packages)
    found = [line.split()[1] for line in output.splitlines() if line.startswith("'")]
    if not found:
        raise errors.CloudError(f"the machine's package lists do not have {', '.join(packages)}: run apt-get update")
    return sorted(found)


def _download(packages: Sequence[str], archives: Path) -> None:
    (archives / "partial").mkdir(parents=True)
    _run(*_apt("--download-only", "-o", f"Dir::Cache::Archives={archives}", "-o", "APT::Sandbox::User=root"), *packages)


def _apt(*options: str) -> list[str]:
    """As if nothing was installed yet: all that the packages depend on."""
    system = ("-o", "Dir::State::status=/dev/null", "-o", "Debug::NoLocking=1", "--no-install-recommends", "--yes", "-qq")
    return ["apt-get", "install", *system, *options]


def _unpack(archives: Sequence[Path], root: Path) -> None:
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for archive in archives:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as reading:
            unpacking = ["tar", "--extract", "--keep-directory-symlink", "--directory", str(root)]
            done = subprocess.run(unpacking, stdin=reading.stdout, capture_output=True, text=True, check=False, timeout=_SECONDS)
        if done.returncode or reading.returncode:
            raise errors.CloudError(f"{archive.name} cannot be unpacked: {done.stderr.strip()}")


def _furnish(root: Path, programs: dict[str, str]) -> None:
    for unneeded in ("usr/share/doc", "usr/share/locale", "usr/share/man"):
        shutil.rmtree(root / unneeded, ignore_errors=True)
    for name, mode in (("tmp", 0o1777), ("data", 0o755), ("etc", 0o755)):
        (root / name).mkdir(exist_ok=True)
        (root / name).chmod(mode)
    (root / "etc" / "passwd").write_text(_USERS, encoding="utf-8")
    (root / "etc" / "group").write_text(_GROUPS, encoding="utf-8")
    for name, text in programs.items():
        (root / name).write_text(text, encoding="utf-8")
        (root / name).chmod(0o755)


def _run(*command: str) -> str:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    if done.returncode:
        told = " / ".join(done.stderr.strip().splitlines()[-_LINES:])
        raise errors.CloudError(f"{command[0]} ended with {done.returncode}: {told}")
    return done.stdout
