"""What `cpi demo --containers` shows."""

from typing import Any

from rich.table import Table

from cpi.cli import screen
from cpi.demo.containers.acts import Outcome


def show(outcome: Outcome) -> None:
    """The figures, for people."""
    names = [service.name for service in outcome.services]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("step")
    for heading in ("seconds", *(f"{name} down" for name in names)):
        table.add_column(heading, justify="right")
    for scene in outcome.scenes:
        down = [f"{scene.down[name]:.1f} s" if name in scene.down else "" for name in names]
        table.add_row(scene.act, f"{scene.seconds:.1f}", *down)
    console = screen.out()
    console.print(table, "")
    for scene in outcome.scenes:
        if scene.report is not None:
            strategy = scene.report.strategy.value.replace("_", " ")
            console.print(f"{scene.act}: {strategy}, jobs down {scene.report.jobs_down_seconds:.1f} s", soft_wrap=True)
    for service in outcome.services:
        if service.is_database:
            console.print(f"rows of {service.name}: {service.acknowledged} acknowledged, {service.lost} lost", style="bold")


def figures(outcome: Outcome) -> dict[str, Any]:
    """The figures, for programs."""
    return {
        "rows_lost": outcome.rows_lost,
        "services": [
            {"name": service.name, "rows_acknowledged": service.acknowledged, "rows_lost": service.lost}
            for service in outcome.services
            if service.is_database
        ],
        "steps": [
            {
                "step": scene.act,
                "seconds": round(scene.seconds, 3),
                "down_seconds": {name: round(seconds, 3) for name, seconds in scene.down.items()},
                "strategy": scene.report.strategy.value if scene.report else None,
                "jobs_down_seconds": round(scene.report.jobs_down_seconds, 3) if scene.report else None,
            }
            for scene in outcome.scenes
        ],
    }
