"""What was made a moment ago: known to the next process, forgotten when it is old or gone."""

import os
from pathlib import Path

from cpi.kit.recent import Recent


def test_another_process_knows_what_was_made(tmp_path: Path) -> None:
    """By its age."""
    Recent(tmp_path, 60).note(["vol-1"])
    assert 50 < Recent(tmp_path, 60).left("vol-1") <= 60
    assert Recent(tmp_path, 60).left("vol-2") == 0


def test_what_is_old_is_known_no_more(tmp_path: Path) -> None:
    """A minute is a minute; to be noted anew makes it young again."""
    Recent(tmp_path, 60).note(["i-1"])
    for file in tmp_path.iterdir():
        os.utime(file, (1, 1))
    later = Recent(tmp_path, 60)
    assert later.left("i-1") == 0
    later.note(["i-1"], anew=True)
    assert later.left("i-1") > 0


def test_what_has_ended_stays_so(tmp_path: Path) -> None:
    """The answer to a token that was used before tells of what is gone."""
    recent = Recent(tmp_path, 60)
    recent.note(["vol-1"])
    recent.end(["vol-1"])
    recent.note(["vol-1"])
    assert recent.left("vol-1") == Recent(tmp_path, 60).left("vol-1") == 0


def test_files_are_removed_after_an_hour(tmp_path: Path) -> None:
    """A thousand calls leave no thousand files."""
    recent = Recent(tmp_path, 60)
    recent.end(["vol-1"])
    for file in tmp_path.iterdir():
        os.utime(file, (1, 1))
    recent.note(["vol-2"])
    assert len(list(tmp_path.iterdir())) == 1


def test_where_nothing_can_be_written_the_process_remembers_itself(tmp_path: Path) -> None:
    """A full disk fails no call."""
    (tmp_path / "file").touch()
    recent = Recent(tmp_path / "file", 60)
    recent.note(["vol-1"])
    assert recent.left("vol-1") > 0
    recent.end(["vol-1"])
    assert recent.left("vol-1") == 0


def test_without_a_folder_it_is_known_to_this_process_alone() -> None:
    """No call fails for that."""
    recent = Recent(None, 60)
    recent.note(["vol-1"])
    assert recent.left("vol-1") > 50
    assert Recent(None, 60).left("vol-1") == 0
    recent.end(["vol-1"])
    assert recent.left("vol-1") == 0
