"""release.MF, and the tarball around everything."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from release.builder.archives import Entry, fingerprint, packed
from release.builder.packages import Part

NAME: Final = "multicpi"


class Version(NamedTuple):
    """Which release it is, and of which commit."""

    number: str
    commit: str
    changed: bool
    """Whether files differ from the commit's."""


def release(version: Version, jobs: Sequence[Part], packages: Sequence[Part], license_text: bytes) -> bytes:
    """The tarball that `bosh upload-release` and `bosh create-env` take."""
    content = [Entry("LICENSE", license_text)]
    terms = Part("license", fingerprint("license", content), packed(content))
    entries = [
        Entry("release.MF", "".join(_manifest(version, jobs, packages, terms)).encode()),
        Entry("license.tgz", terms.archive),
        *(Entry(f"jobs/{part.name}.tgz", part.archive) for part in jobs),
        *(Entry(f"packages/{part.name}.tgz", part.archive) for part in packages),
    ]
    return packed(entries, level=1)


def _manifest(version: Version, jobs: Iterable[Part], packages: Iterable[Part], terms: Part) -> Iterator[str]:
    yield f"name: {NAME}\n"
    yield f"version: {json.dumps(version.number)}\n"
    yield f"commit_hash: {json.dumps(version.commit)}\n"
    yield f"uncommitted_changes: {json.dumps(version.changed)}\n"
    yield "jobs:\n"
    for part in jobs:
        yield from _listed(part)
    yield "packages:\n"
    for part in packages:
        yield from _listed(part)
        yield f"  dependencies: {json.dumps(part.dependencies)}\n"
    yield "license:\n"
    yield from (f"  {line}\n" for line in _facts(terms))


def _listed(part: Part) -> Iterator[str]:
    yield f"- name: {part.name}\n"
    yield from (f"  {line}\n" for line in _facts(part))


def _facts(part: Part) -> tuple[str, ...]:
    told = json.dumps(part.fingerprint)
    return f"version: {told}", f"fingerprint: {told}", f"sha1: {json.dumps(part.checksum)}"
