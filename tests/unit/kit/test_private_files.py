"""What processes leave for each other."""

import fcntl
import os
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.kit import private_files


def test_a_document_is_there_for_the_next_process_alone(tmp_path: Path) -> None:
    """Readable by its owner, and named by a hash that tells no secret."""
    path = private_files.named(tmp_path, "login", "user", "a-long-secret")
    private_files.keep(path, {"token": "t"})
    assert private_files.read(path) == {"token": "t"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert "secret" not in path.name
    assert path != private_files.named(tmp_path, "login", "user", "another-secret")
    assert list(tmp_path.iterdir()) == [path]


def test_certificates_to_trust_are_a_file_that_nobody_else_can_write(tmp_path: Path) -> None:
    """One for each set of them, however many processes there are."""
    path = private_files.certificates(tmp_path, "-----BEGIN…")
    assert Path(path).read_text(encoding="utf-8") == "-----BEGIN…"
    assert Path(path).stat().st_mode & 0o777 == 0o600
    assert private_files.certificates(tmp_path, "-----BEGIN…") == path
    assert private_files.certificates(tmp_path, "-----BEGIN another") != path
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("spoil", ["missing", "readable by others", "no JSON"])
def test_what_cannot_be_trusted_is_as_if_it_were_not_there(tmp_path: Path, spoil: str) -> None:
    """Somebody else may have written what others can read; a full disk leaves half a file."""
    path = tmp_path / "login.json"
    private_files.keep(path, {})
    if spoil == "missing":
        private_files.forget(path)
        private_files.forget(path)
    elif spoil == "no JSON":
        path.write_text("{")
    else:
        path.chmod(0o644)
    assert private_files.read(path) is None


def test_what_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    """The CPI goes on, and nothing half-written is left."""
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").touch()
    private_files.keep(taken, {})
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_the_folder_is_closed_to_others(tmp_path: Path) -> None:
    """It holds logins."""
    assert private_files.folder(str(tmp_path / "new")).stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_replaced_by_the_temporary_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A director may run the CPI without a home. One that is somebody else's is not used."""
    blocker = tmp_path / "file"
    blocker.touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert private_files.folder(str(blocker / "below")).parent == tmp_path
    monkeypatch.setattr("os.getuid", lambda: 4711)
    (tmp_path / "multicpi-4711").mkdir()
    with pytest.raises(errors.CpiError, match="belongs to another user"):
        private_files.folder(str(blocker / "below"))


@pytest.mark.root
def test_a_folder_in_other_hands_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was asked for is named; the usual one is passed over."""
    other = tmp_path / "multicpi"
    other.mkdir()
    os.chown(other, 4711, 4711)
    with pytest.raises(errors.CpiError, match=f"cache_folder {other} belongs to user id 4711: choose a folder"):
        private_files.folder(str(other))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert private_files.folder() == tmp_path / f"multicpi-{os.getuid()}"
    os.chown(other, 0, 0)
    assert private_files.folder() == other
    other.chmod(0o777)
    with pytest.raises(errors.CpiError, match="is writable by everyone"):
        private_files.folder(str(other))


def test_a_temporary_folder_that_is_a_link_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can make one there that leads into another folder of this user."""
    (tmp_path / "file").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / f"multicpi-{os.getuid()}").symlink_to(tmp_path / "mine")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(errors.CpiError, match="belongs to another user"):
        private_files.folder(str(tmp_path / "file" / "below"))


def test_one_token_is_held_by_one_call_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same machine; other tokens, and calls without one, do not wait."""
    lock = fcntl.flock

    def at_once(file: int, how: int) -> None:
        lock(file, how | fcntl.LOCK_NB)

    monkeypatch.setattr(fcntl, "flock", at_once)
    with private_files.one_at_a_time(tmp_path, "call", "token"):
        with pytest.raises(BlockingIOError), private_files.one_at_a_time(tmp_path, "call", "token"):
            pass
        for other in (None, "another token"):
            with private_files.one_at_a_time(tmp_path, "call", other):
                pass
    with private_files.one_at_a_time(tmp_path, "call", "token"):
        pass
