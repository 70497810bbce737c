"""What `cpi demo` shows."""

import sys
from pathlib import Path
from typing import Any, Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from cpi.cli import screen
from cpi.demo.acts import Outcome, Scene, Watcher
from cpi.demo.stage import Stage
from cpi.migration import Event

_BYTES_OF_MIB = 1 << 20


class Screen(Watcher):
    """A bar for the act that goes on, a line for each that is over; on stderr, so that stdout holds the figures alone."""

    def __init__(self) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=screen.err(), transient=True)
        self._task: TaskID

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begins(self, act: str) -> None:
        """An act begins."""
        self._task = self._progress.add_task(act, total=None)

    def happens(self, event: Event) -> None:
        """A disk move goes on."""
        if event.of:
            self._progress.update(self._task, total=event.of, completed=event.number, description=event.message)

    def ends(self, scene: Scene) -> None:
        """An act is over."""
        self._progress.remove_task(self._task)
        self._progress.console.print(f"{scene.seconds:6.1f} s  {scene.act}")


def show(outcome: Outcome) -> None:
    """The figures, for people."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("step")
    for heading in ("seconds", "jobs down", "MiB on disk"):
        table.add_column(heading, justify="right")
    for scene in outcome.scenes:
        down = f"{scene.jobs_down_seconds:.1f}" if scene.jobs_down_seconds is not None else ""
        size = f"{scene.bytes / _BYTES_OF_MIB:.0f}" if scene.bytes is not None else ""
        table.add_row(scene.act, f"{scene.seconds:.1f}", down, size)
    console = screen.out()
    console.print(table)
    console.print(f"\nrows acknowledged: {outcome.rows_acknowledged}\n[bold]rows lost: {outcome.rows_lost}")


def figures(outcome: Outcome) -> dict[str, Any]:
    """The figures, for programs."""
    moves = [
        {
            "strategy": scene.report.strategy.value,
            "seconds": round(scene.report.seconds, 3),
            "jobs_down_seconds": round(scene.report.jobs_down_seconds, 3),
            "client_waited_seconds": round(scene.jobs_down_seconds or 0, 3),
            "bytes": scene.bytes,
        }
        for scene in outcome.scenes
        if scene.report is not None
    ]
    steps = [{"step": scene.act, "seconds": round(scene.seconds, 3)} for scene in outcome.scenes]
    return {"rows_acknowledged": outcome.rows_acknowledged, "rows_lost": outcome.rows_lost, "moves": moves, "steps": steps}


def show_hints(stage: Stage) -> None:
    """How to look around, and how to end it."""
    (vm_dir,) = (stage.folder / "cloud" / "vms").iterdir()
    console = screen.err()
    console.print("\nEverything is still running. To look around:")
    for command in (
        f"export CPI_CONFIG={stage.config_path}",
        f"cpi call get_disks {vm_dir.name}",
        f"cpi agent-settings {vm_dir.name}",
        f"tail {vm_dir}/agent.log",
        f"ls {stage.folder}/cloud/disks",
    ):
        console.print(f"  {command}", soft_wrap=True)
    console.print(f"To end it:\n  {Path(sys.argv[0]).name} demo --end {stage.folder}", soft_wrap=True)
