"""`cpi conformance`: the suite as a command."""

import importlib.util
import json
import stat
import sys
from pathlib import Path

import pytest

from cpi.contract import errors
from tests.cli.conftest import Command

pytestmark = pytest.mark.slow

_SECRET = "hunter-2222"  # noqa: S105 - it opens nothing


@pytest.fixture
def babbler(tmp_path: Path) -> Path:
    """An executable that answers everything with a secret, and no envelope."""
    path = tmp_path / "babbler"
    path.write_text(f"#!{sys.executable} -I\nprint('{_SECRET} is the password')\n")
    path.chmod(stat.S_IRWXU)
    return path


def test_a_clause_is_proven_by_both_faces(cold_cpi: Command, config: Path) -> None:
    """On a cloud that a configuration describes, with the profile that its driver ships; nothing stays there."""
    done = cold_cpi("conformance", "--config", config, "--only", "create_disk_then_it_exists")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "create_disk then: it exists detached" in done.stdout
    assert "2 proven" in done.stdout
    assert [list((config.parent / "cloud" / kind).iterdir()) for kind in ("vms", "disks", "stemcells")] == [[], [], []]


def test_a_profile_takes_the_place_of_the_shipped_one(cpi: Command, config: Path, tmp_path: Path) -> None:
    """What it does not tell cannot be proven, and that is no fault."""
    profile = tmp_path / "profile.json"
    profile.write_text("{}")
    done = cpi("conformance", "--config", config, "--profile", profile, "--only", "has_disk_raises")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 not proven" in done.stdout


def test_a_broken_clause_fails_and_says_what_was_seen(cpi: Command, babbler: Path) -> None:
    """Of an executable that may be anybody's."""
    done = cpi("conformance", "--exec", babbler, "--only", "ping_then")
    assert done.returncode == 1
    assert "1 broken" in done.stdout
    assert "is the password" in done.stdout


def test_what_was_seen_is_shown_without_the_secrets_of_the_configuration(cpi: Command, babbler: Path, config: Path) -> None:
    """Even if the executable shows them."""
    document = json.loads(config.read_text())
    document["cloud"]["properties"]["agent"] = {"mbus": f"https://user:{_SECRET}@127.0.0.1:6868"}
    document["cloud"]["properties"]["local"]["root_password"] = _SECRET
    config.write_text(json.dumps(document))
    done = cpi("conformance", "--exec", babbler, "--config", config, "--only", "ping_then")
    assert "is the password" in done.stdout
    assert _SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "missing --config FILE or --exec EXECUTABLE"),
        (("--config", "/nowhere.json"), "/nowhere.json does not exist"),
        (("--only", "no_such_clause", "--exec", "/bin/true"), "no clause matches 'no_such_clause'"),
        (("--only", "(", "--exec", "/bin/true"), "the suite could not be run"),
    ],
    ids=["nothing to prove it on", "no such file", "no such clause", "no expression"],
)
def test_what_can_not_be_run_is_told(cpi: Command, words: tuple[str, ...], told: str) -> None:
    """With exit status 1 and no trace."""
    done = cpi("conformance", *words)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_without_pytest_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest is no dependency of the executable."""
    from cpi.cli.conformance import conformance

    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(errors.CpiError, match=r"pip install 'multicpi\[conformance\]'"):
        conformance(config=Path("cpi.json"))
