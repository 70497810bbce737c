"""`cpi new-driver`: a package with a driver that runs, to be changed until it speaks to a real cloud."""

import keyword
import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Final

import typer

from cpi import registry
from cpi.cli import screen
from cpi.contract import errors

_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,30}")
_MODULES: Final = ("__init__.py", "cloud.py", "settings.py", "client.py", "errors.py")
_PYPROJECT: Final = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "cpi-{name}"
version = "0.1.0"
description = "The cloud {name} as a driver of multicpi"
requires-python = ">=3.11"
dependencies = ["multicpi"]

[project.optional-dependencies]
test = ["multicpi[conformance]"]

[project.entry-points."cpi.drivers"]
{name} = "cpi_{name}.cloud:{title}Cloud"
"""
_README: Final = """# cpi-{name}

A driver of [multicpi](https://pypi.org/project/multicpi/) for the cloud {name}, as `cpi new-driver {name}` wrote it.
It keeps the whole contract, on a fake cloud in one JSON file.

    pip install -e '.[test]'
    pytest

| file | what it is for | what to do |
|---|---|---|
| `cpi_{name}/client.py` | the cloud's API | call the SDK here, and nowhere else |
| `cpi_{name}/errors.py` | from the cloud's errors to the director's ten | add a row for each code that means one of them |
| `cpi_{name}/settings.py` | keys of the configuration and of cloud properties | name what your cloud needs |
| `cpi_{name}/cloud.py` | the methods of the contract | one by one; declare a capability with its methods |
| `tests/test_conformance.py` | the suite that proves it | give it a configuration, a stemcell, networks |

Change one method, run the suite, go on. Where the report says "not proven", the suite had no way to look: give the harness
the hook that it names (`guest`, `disk_size_of`, `tags_of`, `census`).

Use it as any other driver: `"plugin": "{name}"` in cpi.json, then `cpi doctor --config cpi.json`.
"""


def new_driver(
    name: Annotated[str, typer.Argument(help="Name of the cloud: lower-case letters and digits, such as acme.")],
    folder: Annotated[Path | None, typer.Option(help="Folder to write to. Default: cpi-NAME here.")] = None,
) -> None:
    """Write the package of a new driver: it runs, passes the conformance suite, and is yours to change."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise errors.CpiError(f"invalid name {name!r}: use lower-case letters and digits, beginning with a letter")
    if name in registry.driver_names():
        raise errors.CpiError(f"a driver {name!r} exists already; choose another name")
    target = folder or Path(f"cpi-{name}")
    if target.exists() and any(target.iterdir()):
        raise errors.CpiError(f"{target} is not empty: name a new folder with --folder")
    files = written(name)
    for path, text in files.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_text(text, encoding="utf-8")
    screen.out().print(
        f"{target}: {len(files)} files. Next: cd {target}; pip install -e '.[test]'; pytest", soft_wrap=True, markup=False
    )


def written(name: str) -> dict[str, str]:
    """Every file of the package, by its path."""
    skeleton = resources.files("cpi.skeleton")
    modules = {f"cpi_{name}/{module}": (skeleton / "example" / module).read_text(encoding="utf-8") for module in _MODULES}
    suite = (skeleton / "conformance.py").read_text(encoding="utf-8")
    code = {**modules, "tests/test_conformance.py": suite}
    title = name.capitalize()
    return {
        **{path: _renamed(text, name) for path, text in code.items()},
        "pyproject.toml": _PYPROJECT.format(name=name, title=title),
        "README.md": _README.format(name=name),
    }


def _renamed(text: str, name: str) -> str:
    return text.replace("cpi.skeleton.example", f"cpi_{name}").replace("Example", name.capitalize()).replace("example", name)
