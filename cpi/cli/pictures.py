"""The picture of a move, written to a file."""

from pathlib import Path

from cpi.cli import screen
from cpi.contract import errors
from cpi.migration.durable.records import MoveRecord

_SUFFIX = ".svg"


def check(path: Path | None) -> None:
    """Raises CpiError now for a file that could not be written at the end."""
    if path is None:
        return
    if path.suffix != _SUFFIX:
        raise errors.CpiError(f"--picture {path}: the picture is SVG, so its name ends with {_SUFFIX}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise errors.CpiError(f"--picture {path}: {'a folder' if path.is_dir() else f'there is no folder {path.parent}'}")


def draw(record: MoveRecord, path: Path | None) -> None:
    """Write the picture of a move that has ended. Raises CpiError if it can not be written."""
    report = record.outcome.report if record.outcome else None
    if path is None:
        return
    if report is None:
        why = "it has not ended" if record.outcome is None else "it never began"
        screen.err().print(f"there is nothing to draw of the move {record.move_id}: {why}", soft_wrap=True)
        return
    from cpi.migration.picture import picture

    try:
        path.write_text(picture(report), encoding="utf-8")
    except OSError as error:
        raise errors.CpiError(f"--picture {path}: {error.strerror}") from error
    screen.err().print(f"drawn: {path}", soft_wrap=True)
