"""What the program runs with: every library, its version and its licence.

python -m tests.house.dependencies writes docs/dependencies.md and requirements-hashed.txt; the latter needs uv on the PATH.
python -m tests.house.dependencies sbom DIR writes the same as CycloneDX, beside the wheel in DIR.
"""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any, Final, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tests.house import constraints
from tests.house.source import ROOT

PAGE: Final = ROOT / "docs" / "dependencies.md"
HASHED: Final = ROOT / "requirements-hashed.txt"
_HEAD = """# What it runs with

Every library that `pip install 'multicpi[all,conformance]'` brings, at the version the tests were run with. Written by
`make constraints`; `make wheel` writes the same as a CycloneDX document beside the wheel. Libraries for another system or an
older Python have no licence here: they are not installed where the page is made.

`requirements-hashed.txt` has these versions with the digests of their files, so that nothing else is installed, whoever answers
for the registry:

    pip install --require-hashes -r requirements-hashed.txt
    pip install --no-deps multicpi-VERSION-py3-none-any.whl

| library | version | licence |
|---|---|---|
"""
_SPELLINGS: Final = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License (2.0)": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD 3-Clause OR Apache-2.0": "BSD-3-Clause OR Apache-2.0",
    "BSD License OR Apache Software License": "BSD-3-Clause OR Apache-2.0",
    "Dual License": "BSD-3-Clause OR Apache-2.0",
    "ISC License": "ISC",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "PSFL": "PSF-2.0",
}
"""How some write a licence that has a name of SPDX's."""

ALLOWED: Final = frozenset(
    {"MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "PSF-2.0", "MPL-2.0", "LGPL-2.1-only", "LGPL-3.0-only"}
)
"""A library may be used by a program of any licence under these."""


class Library(NamedTuple):
    """One that is needed to run."""

    name: NormalizedName
    version: str
    licence: str
    """As SPDX writes it; empty if it is not installed here."""


def libraries() -> list[Library]:
    """All of them, by name."""
    return [Library(name, version, licence_of(name)) for name, version in sorted(pins().items())]


def pins() -> dict[NormalizedName, str]:
    """The versions of constraints.txt, of what is needed to run; for any Python and system."""
    project: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [many for name, many in project["optional-dependencies"].items() if name not in {"all", "dev"}]
    asked = [Requirement(text) for many in (project["dependencies"], *extras) for text in many]
    seen: set[tuple[str, frozenset[str]]] = set()
    names = {name for one in asked for name in (canonicalize_name(one.name), *constraints.names(one, seen))}
    lines = (line.split("==") for line in constraints.FILE.read_text(encoding="utf-8").splitlines() if "==" in line)
    pinned = {canonicalize_name(name): version for name, version in lines}
    return {name: pinned[name] for name in names if name in pinned}


def licence_of(name: str) -> str:
    """The licence as SPDX names it; as the library writes it where no name is known."""
    try:
        facts = metadata(name)
    except PackageNotFoundError:
        return ""
    told = [text.rpartition(":: ")[2] for text in facts.get_all("Classifier") or () if text.startswith("License ::")]
    named = [facts[key].strip().partition("\n")[0] for key in ("License-Expression", "License") if key in facts]
    found = next(filter(None, named), " OR ".join(told))
    return _SPELLINGS.get(found, found)


def parts(licence: str) -> set[str]:
    """The licences that an expression names."""
    return {part for part in re.split(r"[()\s]+", licence) if part not in {"", "AND", "OR"}}


def page() -> str:
    """docs/dependencies.md."""
    return _HEAD + "".join(f"| `{one.name}` | {one.version} | {one.licence or '-'} |\n" for one in libraries())


def digests() -> dict[NormalizedName, tuple[str, list[str]]]:
    """The version and the SHA-256 digests of each library in requirements-hashed.txt."""
    text = HASHED.read_text(encoding="utf-8").replace("\\\n", "")
    lines = [re.match(r"(\S+)==(\S+)(.*)", line) for line in text.splitlines()]
    return {canonicalize_name(line[1]): (line[2], re.findall(r"--hash=sha256:(\w{64})", line[3])) for line in lines if line}


def bill_of_materials(version: str) -> dict[str, Any]:
    """A CycloneDX document; the same for the same libraries."""
    known = digests()
    components = list(_components(known))
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([version, components]))
    itself = {
        "type": "application",
        "name": "multicpi",
        "version": version,
        "bom-ref": "multicpi",
        "purl": f"pkg:pypi/multicpi@{version}",
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": {**itself, "licenses": [{"license": {"id": "Apache-2.0"}}]}},
        "components": components,
        "dependencies": [{"ref": "multicpi", "dependsOn": [one["bom-ref"] for one in components]}],
    }


def _components(known: Mapping[NormalizedName, tuple[str, list[str]]]) -> Iterator[dict[str, Any]]:
    for one in libraries():
        purl = f"pkg:pypi/{one.name}@{one.version}"
        files = [
            {"type": "distribution", "url": purl, "hashes": [{"alg": "SHA-256", "content": digest}]}
            for digest in known.get(one.name, ("", []))[1]
        ]
        made = {
            "type": "library",
            "name": one.name,
            "version": one.version,
            "bom-ref": purl,
            "purl": purl,
            "externalReferences": files,
        }
        yield {**made, "licenses": [{"expression": one.licence}]} if one.licence else made


def write_digests() -> None:
    """requirements-hashed.txt anew, for every Python and system; it names no registry."""
    uv = shutil.which("uv")
    if uv is None:
        sys.stderr.write(f"{HASHED.name} is as it was: uv, which writes it, is missing (pip install uv)\n")
        return
    asked = ["pyproject.toml", "--extra", "all", "--extra", "conformance", "--constraints", constraints.FILE.name]
    form = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
    subprocess.run([uv, "pip", "compile", *asked, *form, "--output-file", HASHED.name], cwd=ROOT, check=True)
    trial = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--require-hashes"]
    subprocess.run([*trial, "--requirement", HASHED.name], cwd=ROOT, check=True)


def main(arguments: list[str]) -> None:
    """As the module says."""
    if arguments[:1] == ["sbom"]:
        (wheel,) = Path(arguments[1]).glob("multicpi-*.whl")
        version = wheel.name.split("-")[1]
        file = wheel.with_name(f"multicpi-{version}.cdx.json")
        file.write_text(json.dumps(bill_of_materials(version), indent=2) + "\n", encoding="utf-8")
        sys.stdout.write(f"{wheel}\n{file}\n")
        return
    write_digests()
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
