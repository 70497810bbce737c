"""The script that makes the environment, before anything of the project is there."""

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from cpi.kit.waiting import wait_until
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
    system = {"POLICY": tmp_path / "policy-rc.d", "WANTED": tmp_path / "systemd", "LOCK": tmp_path / "lock"}
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


def test_an_environment_that_was_interrupted_passes_for_none(prepare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for the new one, nor for the old one that it was to take the place of."""
    prepare.prepare_venv(["dev"])
    (prepare.VENV / "bin").mkdir()
    (prepare.VENV / "bin" / "pip").touch()
    file, text = prepare.ROOT / "constraints.txt", (prepare.ROOT / "constraints.txt").read_text(encoding="utf-8")
    file.write_text("httpx==1.0\n", encoding="utf-8")
    with monkeypatch.context() as broken:
        broken.setattr(prepare, "run", lambda *_: sys.exit(1))
        with pytest.raises(SystemExit):
            prepare.prepare_venv(["dev"])
    file.write_text(text, encoding="utf-8")
    prepare.RAN.clear()
    prepare.prepare_venv([])
    assert [command[-1] for command in prepare.RAN if "pip" in command] == [f"{prepare.ROOT}[dev]"]


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
    monkeypatch.setattr(prepare, "told_by", lambda _: [])
    prepare.prepare_programs("test")
    assert [word for command in prepare.RAN for word in command if word in {"update", "install"}] == ["update", "install"]
    assert prepare.RAN[1][-1] == "xfsprogs"


def _may_start(policy: Path) -> bool:
    """What policy-rc.d answers to who wants to start a service."""
    return not policy.exists() or subprocess.run([policy, "ssh", "start"], check=False).returncode != 101


def test_installing_a_server_starts_none(prepare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither now nor at the next boot; what the machine's owner had started, or starts meanwhile, stays."""
    wants = prepare.WANTED / "multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "own.service").touch()
    packages = {"old"}
    allowed: dict[str, bool] = {}

    def run(command: list[str], *_: object) -> None:
        step = next(word for word in command if word in {"update", "install"})
        allowed[step] = _may_start(prepare.POLICY)
        if step == "install":
            packages.add("openssh-server")
            for name in ("ssh", "somebodys"):
                (wants / f"{name}.service").touch()

    def told_by(command: list[str]) -> list[str]:
        if "--show" in command:
            return [f"ii  {package}" for package in packages]
        assert command[2:] == ["openssh-server"]
        return ["/usr/sbin/sshd", "/lib/systemd/system/ssh.service"]

    monkeypatch.setattr(prepare, "run", run)
    monkeypatch.setattr(prepare, "told_by", told_by)
    prepare.install(["openssh-server"])
    assert allowed == {"update": True, "install": False}
    assert not prepare.POLICY.exists()
    assert sorted(service.name for service in wants.iterdir()) == ["own.service", "somebodys.service"]


_INSTALLING = """
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("prepare", sys.argv[1])
prepare = importlib.util.module_from_spec(spec)
spec.loader.exec_module(prepare)
folder = pathlib.Path(sys.argv[2])
prepare.POLICY, prepare.WANTED, prepare.LOCK = folder / "policy-rc.d", folder / "systemd", folder / "lock"
prepare.install(["xfsprogs"])
"""
_APT = """#!/bin/sh
case "$*" in *update*) exit 0;; esac
touch {folder}/begun
while [ ! -e {folder}/may-end ]; do sleep 0.1; done
touch {folder}/ended
"""


@pytest.fixture
def installing(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The script in the middle of an installation, in a process of its own; apt-get ends when there is a file may-end."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("apt-get", _APT.format(folder=tmp_path)), ("dpkg-query", "#!/bin/sh\n")):
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    process = subprocess.Popen([sys.executable, "-c", _INSTALLING, _SCRIPT, tmp_path], env=environment)
    try:
        wait_until((tmp_path / "begun").exists, "apt-get to begin", deadline_seconds=60)
        yield process
    finally:
        process.kill()
        (tmp_path / "may-end").touch()
        process.wait()
        wait_until((tmp_path / "ended").exists, "apt-get to end", deadline_seconds=60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_neither_half_a_package_nor_a_policy(
    installing: "subprocess.Popen[bytes]", tmp_path: Path, number: signal.Signals
) -> None:
    """apt-get comes to its end first; then services may be started again."""
    assert not _may_start(tmp_path / "policy-rc.d")
    installing.send_signal(number)
    (tmp_path / "may-end").touch()
    assert installing.wait(60) == 128 + number
    assert (tmp_path / "ended").exists()
    assert not (tmp_path / "policy-rc.d").exists()


def test_what_is_killed_forbids_nothing_any_more(
    installing: "subprocess.Popen[bytes]", tmp_path: Path, prepare: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that it leaves allows everything, and goes with the next installation."""
    installing.kill()
    installing.wait(60)
    assert (tmp_path / "policy-rc.d").exists()
    assert _may_start(tmp_path / "policy-rc.d")
    monkeypatch.setattr(prepare, "told_by", lambda _: [])
    prepare.install(["xfsprogs"])
    assert not (tmp_path / "policy-rc.d").exists()


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
