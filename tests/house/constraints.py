"""Writes constraints.txt: the versions installed here of everything that the core, every extra and dev bring along.

python -m tests.house.constraints
"""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tests.house.source import ROOT

FILE = ROOT / "constraints.txt"
_HEAD = "# The versions the tests were run with. `make` installs these; pyproject.toml says what else may do.\n"


def main() -> None:
    """Write the file; what belongs to another Python or system keeps the line it had."""
    pins = (line.split("==") for line in FILE.read_text(encoding="utf-8").splitlines() if "==" in line)
    pinned = {canonicalize_name(name): version for name, version in pins}
    wanted = dict.fromkeys(names(Requirement("multicpi[all,dev]"), set()))
    versions = {name: _installed(name) or pinned.get(name) for name in wanted}
    lines = [f"{name}=={version}\n" for name, version in sorted(versions.items()) if version]
    FILE.write_text(_HEAD + "".join(lines), encoding="utf-8")


def names(requirement: Requirement, seen: set[tuple[str, frozenset[str]]]) -> Iterator[NormalizedName]:
    """The names of all that the requirement brings, itself left out; for any Python and system."""
    found = (canonicalize_name(requirement.name), frozenset(requirement.extras))
    if found in seen or not _installed(found[0]):
        return
    seen.add(found)
    for text in distribution(found[0]).requires or ():
        needed = Requirement(text)
        if _applies(needed, found[1]):
            yield canonicalize_name(needed.name)
            yield from names(needed, seen)


def _applies(needed: Requirement, extras: frozenset[str]) -> bool:
    if needed.marker is None:
        return True
    if "extra" in str(needed.marker):
        return any(needed.marker.evaluate({"extra": extra}) for extra in extras)
    return True


def _installed(name: str) -> str | None:
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
