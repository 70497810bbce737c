"""The executable with a driver from outside the repository, found by a real entry point."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rpc.executable import Executable, ServedExecutable

HEAD = """#!{python}
import json, os, sys, time
request = json.load(sys.stdin)
with open({calls!r}, "a") as file:
    file.write(json.dumps({{**request, "environment": dict(os.environ)}}) + "\\n")
def answer(result, error=None, log=""):
    sys.stdout.write(json.dumps({{"result": result, "error": error, "log": log}}))
    sys.stdout.flush()
if request["method"] == "info":
    {info}
    sys.exit()
"""
INFO = 'answer({"stemcell_formats": ["x-tar"], "api_version": 3})'

Script = Callable[..., str]


@pytest.fixture
def executable(tmp_path: Path) -> Executable:
    """The executable, its configuration and the folder of its driver."""
    return Executable.in_folder(tmp_path)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedExecutable]:
    """The same, its calls made by a process that is ready."""
    executable = ServedExecutable.in_folder(tmp_path)
    try:
        yield executable
    finally:
        executable.close()


@pytest.fixture
def installed(executable: Executable, monkeypatch: pytest.MonkeyPatch) -> Executable:
    """The same, with the driver found in this process too."""
    monkeypatch.syspath_prepend(executable.plugins)
    return executable


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Makes an executable that answers info well and everything else with a body of Python."""

    def make(body: str, info: str = INFO) -> str:
        path = tmp_path / "executable"
        path.write_text(HEAD.format(python=sys.executable, calls=str(tmp_path / "calls"), info=info) + body)
        path.chmod(0o755)
        return str(path)

    return make
