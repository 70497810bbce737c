"""python -m release.builder: makes the release's tarball; python -m release.builder lock: lists the wheels anew."""

import argparse
import subprocess
import sys
import tempfile
import tomllib
from hashlib import sha256
from pathlib import Path

from release.builder import jobs, manifest, packages, python_source, wheels
from release.builder.faults import Fault


def main(arguments: list[str] | None = None) -> None:
    """Build, or say what is wrong."""
    wanted = _parser().parse_args(arguments)
    try:
        if wanted.what == "lock":
            wheels.write_lists()
            return
        made = build(wanted)
    except Fault as fault:
        sys.exit(f"the release was not built: {fault}")
    size = made.stat().st_size / 2**20
    sys.stdout.write(f"{made}\n  {size:.1f} MiB, sha256:{sha256(made.read_bytes()).hexdigest()}\n")


def build(wanted: argparse.Namespace) -> Path:
    """The tarball."""
    version = version_of(wanted)
    python_source.archive(wanted.python_source)
    with tempfile.TemporaryDirectory() as folder:
        own = wheels.own(Path(folder))
        parts = list(packages.packages(wanted.clouds, own))
    tarball = manifest.release(version, list(jobs.jobs(wanted.clouds)), parts, (wheels.ROOT / "LICENSE").read_bytes())
    which = "" if set(wanted.clouds) == set(wheels.CLOUDS) else f"-{'-'.join(wanted.clouds)}"
    made = Path(wanted.output) / f"{manifest.NAME}{which}-{version.number}.tgz"
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_bytes(tarball)
    return made


def version_of(wanted: argparse.Namespace) -> manifest.Version:
    """What is asked for; else the project's own, with the number of commits behind it unless it is final."""
    project = tomllib.loads((wheels.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    commit, changed = _git("rev-parse", "--short", "HEAD"), _git("status", "--porcelain") != ""
    if wanted.final and changed:
        raise Fault("a final release is made of what is committed, and there are changes that are not")
    number = wanted.version or (project if wanted.final else f"{project}+dev.{_git('rev-list', '--count', 'HEAD') or 0}")
    return manifest.Version(number, commit or "unknown", changed)


def _git(*arguments: str) -> str:
    """What git says; nothing where this is no work tree."""
    try:
        done = subprocess.run(["git", *arguments], check=False, cwd=wheels.ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m release.builder", description="Builds the BOSH release.")
    parser.add_argument("what", nargs="?", choices=["release", "lock"], default="release")
    parser.add_argument("--clouds", type=_clouds, default=list(wheels.CLOUDS), help="those to build for, comma-separated; all")
    parser.add_argument("--version", help="the release's version")
    parser.add_argument("--final", action="store_true", help="the project's own version; nothing may be uncommitted")
    parser.add_argument("--python-source", type=Path, help="the archive of CPython's source, where apt has none")
    parser.add_argument("--output", type=Path, default=wheels.ROOT / "dist", help="the folder for the tarball")
    return parser


def _clouds(text: str) -> list[str]:
    chosen = sorted(set(text.split(",")))
    unknown = [name for name in chosen if name not in wheels.CLOUDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(wheels.CLOUDS)}")
    return chosen


if __name__ == "__main__":
    main()
