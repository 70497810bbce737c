"""The environments that are kept between runs, and the interpreters that are found for them."""

import sys
from pathlib import Path

import pytest

from fixtures.installed import environments
from fixtures.installed.environments import Environment
from fixtures.installed.interpreters import VERSIONS, Interpreter, interpreters


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that an environment of the test's own would be made with."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    commands: list[list[str]] = []

    def run(command: list[str]) -> None:
        commands.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)

    monkeypatch.setattr(environments, "run", run)
    return commands


def _environment(constraints: str = "httpx==0.28.1\n") -> Environment:
    return Environment("a test's", Interpreter(Path(sys.executable), "3.11.7"), ("httpx>=0.27",), constraints)


def test_an_environment_is_made_once(ran: list[list[str]]) -> None:
    """And again when a version that it holds is another."""
    _environment().prepare()
    _environment().prepare()
    assert [command[2] for command in ran] == ["venv", "pip"]
    assert not _environment("httpx==0.28.0\n").is_whole


def test_an_environment_whose_making_was_interrupted_is_made_anew(ran: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing in it of the first time."""

    def interrupted(_: list[str]) -> None:
        _environment().folder.mkdir(parents=True)
        (_environment().folder / "half").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(environments, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _environment().prepare()
    assert not _environment().is_whole
    _environment().prepare()
    assert _environment().is_whole
    assert not (_environment().folder / "half").exists()


def test_this_python_is_found() -> None:
    """By the search that finds others; each is of the version that it is taken for."""
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in interpreters()
    assert [version for version, one in interpreters().items() if not one.version.startswith(f"{version}.")] == []
    assert set(interpreters()) <= set(VERSIONS)
