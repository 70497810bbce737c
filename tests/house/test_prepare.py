"""The script that makes the environment, before anything of the project is there."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.house.source import ROOT

_SCRIPT = ROOT / ".ci" / "prepare.py"


@pytest.fixture
def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, in a project of its own, that runs nothing but notes what it would run."""
    spec = importlib.util.spec_from_file_location("prepare", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / ".venv").mkdir()
    ran: list[list[str]] = []
    own = {"ROOT": tmp_path, "VENV": tmp_path / ".venv", "STAMP": tmp_path / ".venv" / "stamp", "RAN": ran}
    system = {"POLICY": tmp_path / "policy-rc.d", "WANTED": tmp_path / "systemd"}
    for name, value in {**own, **system}.items():
        monkeypatch.setattr(module, name, value, raising=False)
    monkeypatch.setattr(module, "run", lambda command, *_: ran.append(command))
    return module


def test_the_environment_is_made_once(prepare: ModuleType) -> None:
    """The second time there is nothing to do."""
    prepare.prepare_venv(["dev"])
    assert [command[1:3] for command in prepare.RAN] == [["-m", "venv"], ["-m", "pip"]]
    assert prepare.RAN[-1][-1].endswith("[dev]")
    prepare.RAN.clear()
    prepare.prepare_venv(["dev"])
    prepare.prepare_venv([])
    assert prepare.RAN == []


def test_the_environment_is_made_again_when_what_it_needs_changes(prepare: ModuleType) -> None:
    """And keeps the extras it had."""
    prepare.prepare_venv(["dev"])
    (prepare.ROOT / "constraints.txt").write_text("httpx==1.0\n", encoding="utf-8")
    prepare.RAN.clear()
    prepare.prepare_venv([])
    assert [command[-1] for command in prepare.RAN if "pip" in command] == [f"{prepare.ROOT}[dev]"]


def test_nothing_is_installed_where_nothing_is_missing(prepare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the list of packages is fetched."""
    monkeypatch.setattr(prepare, "has_program", lambda _: True)
    monkeypatch.setattr(prepare, "may_install", lambda: True)
    prepare.prepare_programs("test")
    assert prepare.RAN == []


def test_what_is_missing_is_installed_by_root(prepare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the list of packages was fetched."""
    monkeypatch.setattr(prepare, "has_program", lambda name: name != "mkfs.xfs")
    monkeypatch.setattr(prepare, "may_install", lambda: True)
    prepare.prepare_programs("test")
    assert [command[1] for command in prepare.RAN] == ["update", "install"]
    assert prepare.RAN[1][-1] == "xfsprogs"


def test_installing_a_server_starts_none(prepare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither now nor at the next boot; what the machine's owner had started stays."""
    wants = prepare.WANTED / "multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "own.service").touch()
    forbidden: list[bool] = []

    def run(command: list[str], *_: object) -> None:
        forbidden.append(prepare.POLICY.exists() and "101" in prepare.POLICY.read_text(encoding="utf-8"))
        if command[1] == "install":
            (wants / "ssh.service").touch()

    monkeypatch.setattr(prepare, "run", run)
    prepare.install(["openssh-server"])
    assert forbidden == [False, True]
    assert not prepare.POLICY.exists()
    assert [service.name for service in wants.iterdir()] == ["own.service"]


def test_what_is_missing_is_told_to_others(
    prepare: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name, with what goes without it."""
    monkeypatch.setattr(prepare, "has_program", lambda name: name != "mkfs.xfs")
    monkeypatch.setattr(prepare, "may_install", lambda: False)
    prepare.prepare_programs("test")
    assert "left out: tests with xfs: mkfs.xfs is missing (Debian package xfsprogs)" in capsys.readouterr().err
    assert prepare.RAN == []


def test_an_old_python_is_told(prepare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """With how to name another."""
    monkeypatch.setattr(prepare.sys, "version_info", (3, 9, 2))
    with pytest.raises(SystemExit, match=r"Python 3\.11 or newer.*make demo PYTHON="):
        prepare.main("demo")


def test_a_step_that_fails_shows_what_it_said() -> None:
    """And ends everything."""
    code = f"import runpy; runpy.run_path({str(_SCRIPT)!r})['run'](['sh', '-c', 'echo why; exit 3'])"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "why" in done.stderr
    assert "failed (3): sh" in done.stderr
