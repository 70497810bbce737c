"""What `cpi demo` shows."""

import sys
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from cpi.cli import screen
from cpi.cli.following import words_of
from cpi.contract.encoding import to_plain
from cpi.demo.acts import Outcome, Scene, Watcher
from cpi.demo.stage import Stage
from cpi.migration import Event, Report, Strategy

_BYTES_OF_MIB = 1 << 20


class Screen(Watcher):
    """A bar for the act that goes on, a line for each that is over; on stderr, so that stdout holds the figures alone."""

    def __init__(self) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
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
            self._progress.update(self._task, total=event.of, completed=event.number, description=words_of(to_plain(event)))

    def ends(self, scene: Scene) -> None:
        """An act is over."""
        self._progress.remove_task(self._task)
        self._progress.console.print(f"{scene.seconds:6.1f} s  {scene.act}")


def show(outcome: Outcome) -> None:
    """The figures, for people."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("step")
    for heading in ("seconds", "MiB on disk"):
        table.add_column(heading, justify="right")
    for scene in outcome.scenes:
        size = f"{scene.bytes / _BYTES_OF_MIB:.0f}" if scene.bytes is not None else ""
        table.add_row(scene.act, f"{scene.seconds:.1f}", size)
    console = screen.out()
    console.print(table, "")
    _show_moves(console, [scene for scene in outcome.scenes if scene.report is not None])
    console.print(f"\nrows acknowledged: {outcome.rows_acknowledged}")
    console.print(f"rows lost: {outcome.rows_lost}", style="bold")


def _show_moves(console: Console, scenes: list[Scene]) -> None:
    """Side by side: the same data with the job stopped, and with the job running."""
    reports = [scene.report for scene in scenes if scene.report is not None]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("the two moves" if len(reports) > 1 else "the move")
    for report in reports:
        table.add_column(report.strategy.value.replace("_", " "), justify="right")
    table.add_row("jobs down", *(f"{report.jobs_down_seconds:.1f} s" for report in reports), style="bold")
    table.add_row("longest wait of the client", *(f"{scene.jobs_down_seconds or 0:.1f} s" for scene in scenes))
    table.add_row("total time", *(f"{report.seconds:.1f} s" for report in reports))
    table.add_row("rows acknowledged meanwhile", *(str(scene.rows) for scene in scenes))
    table.add_row("compared with the old disk", *(_compared(report) for report in reports))
    console.print(table)
    for report in reports:
        if report.new_vm_cid is not None:
            console.print(
                f"\nfrom {report.vm_cid} with {report.old_disk_cid}, both kept until {report.kept_until}", soft_wrap=True
            )
            console.print(f"  to {report.new_vm_cid} with {report.disk_cid}; {'; '.join(report.notes)}", soft_wrap=True)
    if not {Strategy.LIVE_COPY, Strategy.BETWEEN_CLOUDS} & {report.strategy for report in reports}:
        console.print(f"\nno live move: {reports[-1].reason}", style="yellow", soft_wrap=True)


def _compared(report: Report) -> str:
    return "no" if report.verified_bytes is None else f"{report.verified_bytes / _BYTES_OF_MIB:.0f} MiB"


def figures(outcome: Outcome) -> dict[str, Any]:
    """The figures, for programs."""
    moves = [
        {
            "strategy": scene.report.strategy.value,
            "reason": scene.report.reason,
            "seconds": round(scene.report.seconds, 3),
            "jobs_down_seconds": round(scene.report.jobs_down_seconds, 3),
            "client_waited_seconds": round(scene.jobs_down_seconds or 0, 3),
            "bytes": scene.bytes,
            "rows_acknowledged_meanwhile": scene.rows,
            "compared_bytes": scene.report.verified_bytes,
            **({"new_vm": scene.report.new_vm_cid} if scene.report.new_vm_cid else {}),
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
    console.print("\nEverything is still running. To inspect it:")
    for command in (
        f"export CPI_CONFIG={stage.config_path}",
        f"cpi call get_disks {vm_dir.name}",
        f"cpi agent-settings {vm_dir.name}",
        f"tail {vm_dir}/agent.log",
        f"ls {stage.folder}/cloud/disks",
    ):
        console.print(f"  {command}", soft_wrap=True)
    console.print(f"To stop and remove it:\n  {Path(sys.argv[0]).name} demo --end {stage.folder}", soft_wrap=True)
