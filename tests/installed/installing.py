"""The package as users have it: built, installed from its wheel beside the libraries it asks for, started from elsewhere."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fixtures.clouds.openstack.environment import locked
from fixtures.installed.environments import Environment
from tests.house.source import ROOT

_SECONDS = 500  # for a busy machine; the tests of other Pythons have most to do


def build(folder: Path, source: Path = ROOT) -> dict[str, Path]:
    """The wheel and the sdist, made of the source without the network; the suffix tells which is which."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--target", "sdist", "--directory", str(folder)]
    done = subprocess.run(command, cwd=source, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"`make ready-to-test` brings what builds the package: {done.stderr}"
    return {path.suffix: path for path in folder.iterdir()}


class Installed(NamedTuple):
    """The package in an environment of its own."""

    title: str
    python: Path
    elsewhere: Path
    """A folder with nothing of the project in it."""

    def run(self, *command: str | Path, said: str | None = None, **variables: str) -> "subprocess.CompletedProcess[str]":
        """A program of the environment, with a director's environment."""
        home = str(self.elsewhere)
        return subprocess.run(
            [self.python.with_name(str(command[0])), *command[1:]],
            input=said,
            cwd=self.elsewhere,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, "TMPDIR": home, "COLUMNS": "200", **variables},
            check=False,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )

    def call(self, config: dict[str, Any], method: str, *arguments: object) -> dict[str, Any]:
        """The answer of bare `cpi` on a pipe."""
        file = self.elsewhere / f"{config['cloud']['plugin']}.json"
        file.write_text(json.dumps(config), encoding="utf-8")
        request = {"method": method, "arguments": arguments, "context": {"director_uuid": "d-1"}, "api_version": 2}
        done = self.run("cpi", said=json.dumps(request), CPI_CONFIG=str(file))
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


def install(environment: Environment, wheel: Path, folder: Path) -> Installed:
    """The wheel beside the libraries, once for all processes of a run."""
    assert environment.is_whole, f"{environment.title} is not prepared: make ready-to-test"
    made = folder / "whole"
    found = Installed(environment.title, folder / "bin" / "python", folder / "elsewhere")
    with locked(folder.with_suffix(".lock")):
        if not made.exists():
            _run([environment.interpreter.path, "-m", "venv", "--without-pip", folder])
            place = folder / environment.libraries.relative_to(environment.folder)
            (place / "libraries.pth").write_text(f"{environment.libraries}\n", encoding="utf-8")
            pip: list[str | Path] = [environment.python, "-m", "pip", "--python", found.python, "--disable-pip-version-check"]
            _run([*pip, "install", "--quiet", "--no-index", "--no-deps", wheel])
            found.elsewhere.mkdir()
            made.touch()
    return found


def _run(command: Sequence[str | Path]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
