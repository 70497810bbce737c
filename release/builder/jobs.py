"""The jobs: their specs, templates and schemas, as they lie in release/jobs."""

from collections.abc import Iterable, Iterator
from typing import Final

from release.builder import wheels
from release.builder.archives import Entry, entry_of, fingerprint, packed
from release.builder.packages import Part

GENERIC: Final = "cpi"
FOLDER: Final = wheels.ROOT / "release" / "jobs"


def job_of(cloud: str) -> str:
    """The job that bears the name of the official one."""
    return f"{cloud}_cpi"


def jobs(clouds: Iterable[str]) -> Iterator[Part]:
    """A job for each cloud, and the generic one where all clouds are there."""
    chosen = tuple(clouds)
    names = [*map(job_of, chosen), *([GENERIC] if set(chosen) == set(wheels.CLOUDS) else [])]
    yield from map(_job, sorted(names))


def _job(name: str) -> Part:
    folder = FOLDER / name
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = [_entry(str(path.relative_to(folder)), entry_of(path, "")) for path in files]
    return Part(name, fingerprint(name, content), packed(content))


def _entry(name: str, found: Entry) -> Entry:
    return found._replace(name="job.MF" if name == "spec" else name)
