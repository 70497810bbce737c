"""The packages: CPython, the core with the project itself, and one for each cloud."""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from release.builder import cache, python_source, wheels
from release.builder.archives import PROGRAM, Entry, fingerprint, packed

PYTHON: Final = "multicpi_python"
CORE: Final = "multicpi"
_SOURCES: Final = wheels.ROOT / "release" / "packages"
_SOURCE: Final = 6  # more takes thrice as long and saves little
_ZIPPED: Final = 1  # wheels are compressed already


class Part(NamedTuple):
    """A job or a package as the release holds it."""

    name: str
    fingerprint: str
    archive: bytes
    dependencies: tuple[str, ...] = ()

    @property
    def checksum(self) -> str:
        """The archive's, as BOSH writes it."""
        return f"sha256:{sha256(self.archive).hexdigest()}"


def package_of(cloud: str) -> str:
    """The package with a cloud's libraries."""
    return f"multicpi_{cloud}"


def packages(clouds: Iterable[str], own_wheel: Path) -> Iterator[Part]:
    """Those that these clouds need."""
    yield python()
    yield core(own_wheel)
    yield from map(libraries, clouds)


def core(own_wheel: Path) -> Part:
    """The project itself, and what every driver needs."""
    return _of_wheels(CORE, wheels.CORE, (PYTHON,), own_wheel)


def libraries(cloud: str) -> Part:
    """What the driver of one cloud needs besides."""
    return _of_wheels(package_of(cloud), cloud, (PYTHON,))


def python() -> Part:
    """CPython, from its source."""
    script = _script(PYTHON)
    told = fingerprint(PYTHON, [script, Entry("source", python_source.recipe())])

    def made() -> bytes:
        return packed([script, *python_source.entries(python_source.archive())], level=_SOURCE)

    return Part(PYTHON, told, _kept(told, made))


def _of_wheels(name: str, listed: str, dependencies: tuple[str, ...], own_wheel: Path | None = None) -> Part:
    files = [*wheels.fetched(listed), *([own_wheel] if own_wheel else [])]
    wanted = wheels.requirements(listed) + (wheels.hashed(own_wheel) if own_wheel else b"")
    content = [_script("wheels"), Entry("requirements.txt", wanted)]
    content += [Entry(f"wheels/{file.name}", file.read_bytes()) for file in files]
    unneeded = _SOURCES / name / "unneeded"
    if unneeded.exists():
        content.append(Entry("unneeded", unneeded.read_bytes()))
    told = fingerprint(name, content, dependencies)
    return Part(name, told, packed(content, level=_ZIPPED), dependencies)


def _script(folder: str) -> Entry:
    return Entry("packaging", (_SOURCES / folder / "packaging").read_bytes(), PROGRAM)


def _kept(told: str, made: Callable[[], bytes]) -> bytes:
    """Packing CPython takes ten seconds, and it changes once in a year."""
    kept = cache.folder() / "packages" / f"{told}.tgz"
    if not kept.exists():
        cache.keep(kept, made())
    return kept.read_bytes()
