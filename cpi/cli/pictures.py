"""The picture of a move, and the page of a fleet, written to a file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cpi.cli import screen
from cpi.contract import errors
from cpi.migration.durable.records import MoveRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cpi.migration.fleet_table import FleetRow


def check(path: Path | None) -> None:
    """Raises CpiError now if the picture could not be written at the end."""
    _check(path, "--picture", ".svg")


def check_page(path: Path | None, option: str = "--page") -> None:
    """Raises CpiError now if the page could not be written at the end."""
    _check(path, option, ".html")


def _check(path: Path | None, option: str, suffix: str) -> None:
    if path is None:
        return
    if path.suffix != suffix:
        raise errors.CpiError(f"{option} {path}: the file name must end with {suffix}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise errors.CpiError(f"{option} {path}: {'is a folder' if path.is_dir() else f'folder not found: {path.parent}'}")


def draw(record: MoveRecord, path: Path | None) -> None:
    """Write the picture of a move that has ended. Raises CpiError if it cannot be written."""
    report = record.outcome.report if record.outcome else None
    if path is None:
        return
    if report is None:
        why = "it has not ended" if record.outcome is None else "it never started"
        screen.err().print(f"no picture of move {record.move_id}: {why}", soft_wrap=True)
        return
    from cpi.migration.picture import picture

    _write(path, "--picture", picture(report))


def write_page(path: Path | None, title: str, summary: str, rows: "Sequence[FleetRow]") -> None:
    """Write the page of a fleet. Raises CpiError if it cannot be written."""
    if path is None:
        return
    from cpi.migration.picture.page import page

    _write(path, "--page", page(title, summary, rows))


def write_text(path: Path | None, option: str, text: Callable[[], str]) -> None:
    """Write a page, if one is wanted. Raises CpiError if it cannot be written."""
    if path is not None:
        _write(path, option, text())


def _write(path: Path, option: str, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise errors.CpiError(f"{option} {path}: {error.strerror}") from error
    screen.err().print(f"written: {path}", soft_wrap=True)
