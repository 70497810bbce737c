"""`cpi drivers`: lists the drivers."""

from rich.table import Table
from rich.text import Text

from cpi import registry
from cpi.cli import screen
from cpi.contract import errors


def drivers() -> None:
    """List the drivers, what each needs and supports, and whether it loads here."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("driver", "needs", "stemcells", "capabilities", "status"):
        table.add_column(heading, overflow="fold")
    for name in registry.driver_names():
        table.add_row(*_row(name))
    screen.out().print(table)


def _row(name: str) -> tuple[Text | str, ...]:
    extra = registry.extra_of(name)
    needs = Text(f"multicpi[{extra}]" if extra else "no extra")
    try:
        cloud = registry.load(name)
    except errors.CpiError as error:
        return name, needs, "", "", Text(error.message, style="red")
    powers = ", ".join(sorted(power.value for power in cloud.capabilities))
    return name, needs, ", ".join(cloud.stemcell_formats), powers or "none", Text("loads", style="green")
