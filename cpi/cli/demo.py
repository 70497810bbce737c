"""`cpi demo`: the demonstration."""

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cpi.cli import pictures, screen
from cpi.contract import errors
from cpi.rpc.interruption import Interrupted, Interruption

if TYPE_CHECKING:  # what the demonstration needs takes long to import, and the other commands do without
    from collections.abc import Callable

    from cpi.demo.acts import Outcome, Watcher
    from cpi.demo.stage import Stage

T = TypeVar("T")

_INTERRUPTED_STATUS = 130


def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Keep everything running for inspection.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
    root: Annotated[Path | None, typer.Option(help="Folder to use. [default: a new temporary folder]")] = None,
    containers: Annotated[
        bool,
        typer.Option("--containers", help="Show Redis, a replica and PostgreSQL in containers instead. Needs root and podman."),
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(help="With --containers: write the services over time to this SVG file.")
    ] = None,
    between_clouds: Annotated[
        bool, typer.Option("--between-clouds", help="Move the job with its disk to a second cloud instead, live.")
    ] = False,
    end: Annotated[Path | None, typer.Option(help="Stop and remove what --keep left in this folder, and exit.")] = None,
) -> None:
    """Move a disk on this machine, once with its job stopped and once live, and count every row.

    A job stores rows on a nearly full disk, and a client writes to it all the time. The demo grows the disk with the job
    stopped, kills the VM and replaces it, then shrinks the disk while the job runs. Needs no root and leaves nothing behind.
    """
    from cpi.cli import demo_screen
    from cpi.demo.stage import Stage

    if end is not None:
        _end(Stage.found(end))
        return
    pictures.check(picture)
    interruption = Interruption()
    interruption.install()
    stage = Stage(root or Path(tempfile.mkdtemp(prefix="cpi-demo-")))
    if containers:
        _show_containers(stage, interruption, json=json, keep=keep, picture=picture)
        return
    outcome = _performed(stage, partial(_acts(between_clouds=between_clouds), stage), interruption, keep=keep)
    if json:
        screen.show_json(demo_screen.figures(outcome))
    else:
        demo_screen.show(outcome)
    if keep:
        demo_screen.show_hints(stage)
    if outcome.rows_lost:
        screen.fail(f"{outcome.rows_lost} acknowledged rows were lost")


def _acts(*, between_clouds: bool) -> "Callable[[Stage, Watcher], Outcome]":
    if between_clouds:
        from cpi.demo.between import perform_between

        return perform_between
    from cpi.demo.acts import perform

    return perform


def _show_containers(stage: "Stage", interruption: Interruption, *, json: bool, keep: bool, picture: Path | None) -> None:
    from cpi.cli import demo_containers_screen
    from cpi.demo.containers.acts import perform
    from cpi.demo.containers.picture import picture_of

    outcome = _performed(stage, lambda watcher: perform(stage, watcher), interruption, keep=keep)
    pictures.write_text(picture, "--picture", lambda: picture_of(outcome))
    if json:
        screen.show_json(demo_containers_screen.figures(outcome))
    else:
        demo_containers_screen.show(outcome)
    if keep:
        hint = f"\nEverything is still running.\nTo stop and remove it:\n  cpi demo --end {stage.folder}"
        screen.err().print(hint, soft_wrap=True)
    if outcome.rows_lost:
        screen.fail(f"{outcome.rows_lost} acknowledged rows were lost")


def _performed(stage: "Stage", perform: "Callable[[Watcher], T]", interruption: Interruption, *, keep: bool) -> "T":
    """The outcome, with everything removed unless it shall be kept: a failure or a signal keeps nothing."""
    from cpi.cli.demo_screen import Screen

    done = False
    try:
        with Screen() as watcher, interruption.armed():
            outcome = perform(watcher)
        done = True
    except Interrupted as interrupted:
        screen.show_fault(f"interrupted by {interrupted}")
        sys.exit(_INTERRUPTED_STATUS)
    finally:
        if not (keep and done):
            _end(stage)
    return outcome


def _end(stage: "Stage") -> None:
    left = stage.clear()
    if left:
        raise errors.CloudError("\n  ".join(["cannot remove:", *left]))
