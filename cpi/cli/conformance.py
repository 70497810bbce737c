"""`cpi conformance`: tests every clause of the contract on a cloud."""

import importlib.util
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from cpi import config as configuration
from cpi.cli import screen
from cpi.cli.options import CONFIG_HELP
from cpi.contract import errors

if TYPE_CHECKING:
    from cpi.testing.harness import Harness
    from cpi.testing.suite_run import Result, Verdict

_STYLES: Final[Mapping[str, str]] = {"proven": "green", "refused": "cyan", "not proven": "yellow", "broken": "red"}
_FACES: Final = ("in-process", "executable")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", envvar="CPI_CONFIG", show_default=False, help=CONFIG_HELP),
]
ExecOption = Annotated[
    Path | None,
    typer.Option("--exec", show_default=False, help="CPI executable to test, started without arguments as a director does."),
]
ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile", show_default=False, help="What the suite may create (see docs/conformance.md). [default: the driver's own]"
    ),
]
OnlyOption = Annotated[
    str,
    typer.Option("--only", "-k", show_default=False, help="Test only matching clauses, such as 'disk and not snapshot'."),
]


def conformance(
    config: ConfigOption = None, executable: ExecOption = None, profile: ProfileOption = None, only: OnlyOption = ""
) -> None:
    """Test every clause of the contract on a cloud, in this process and through the executable.

    Creates stemcells, VMs and disks in the cloud and deletes them; leftovers count as faults. The exit status is 1 if a clause
    is broken.
    """
    if importlib.util.find_spec("pytest") is None:
        raise errors.CpiError("the suite needs pytest; install it with: pip install 'multicpi[conformance]'")
    if config is None and executable is None:
        raise errors.CpiError("missing --config FILE or --exec EXECUTABLE")
    with tempfile.TemporaryDirectory(prefix="cpi-conformance-") as folder:
        harness = _harness(config, executable, profile, Path(folder))
        results = _run(harness, only, by_library=executable is None)
    if not results:
        raise errors.CpiError(f"no clause matches {only!r}")
    _show(results)
    if any(result.verdict == "broken" for result in results):
        sys.exit(screen.FAULT_STATUS)


def _harness(config: Path | None, executable: Path | None, profile: Path | None, folder: Path) -> "Harness":
    from cpi.testing.profile import Profile, read_profile, shipped_profile
    from cpi.testing.profile_harness import harness_of

    document: Mapping[str, Any] = configuration.read_document(config) if config else {}
    if profile is not None:
        found, paths_from = read_profile(profile)
    elif config is not None:
        found, paths_from = shipped_profile(configuration.plugin_of(document))
    else:
        found, paths_from = Profile(), Path()
    return harness_of(document, found, paths_from, folder, _command(executable))


def _command(executable: Path | None) -> Sequence[str] | None:
    return None if executable is None else [str(executable.resolve())]


def _run(harness: "Harness", only: str, *, by_library: bool) -> "list[Result]":
    from cpi.testing.suite_run import run

    console = screen.err()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    # Refreshed by hand: pytest has taken stderr away while a test runs.
    with Progress(*columns, console=console, transient=True, auto_refresh=False, disable=not console.is_terminal) as progress:
        task = progress.add_task("proving")

        def tell(result: "Result", total: int) -> None:
            progress.update(task, advance=1, total=total, description=result.face, refresh=True)

        return run(harness, tell, by_library=by_library, only=only)


def _show(results: "list[Result]") -> None:
    from cpi.testing.suite_run import clause_of, in_order

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("clause", overflow="fold")
    for face in _FACES:
        table.add_column(face, no_wrap=True)
    table.add_column("seconds", justify="right")
    for test, of_test in in_order(results).items():
        verdicts = [_verdict([result for result in of_test if result.face == face]) for face in _FACES]
        table.add_row(Text(clause_of(test)), *verdicts, f"{sum(result.seconds for result in of_test):.2f}")
    screen.out().print(table)
    for result in results:
        if result.verdict == "broken":
            screen.out().print(Text(f"\n{clause_of(result.test)} ({result.face})", style="bold red"), Text(result.detail))
    for reason, count in Counter(result.detail for result in results if result.verdict == "not proven").most_common():
        screen.out().print(Text(f"not proven, for {reason}: {count}", style=_STYLES["not proven"]))
    screen.out().print(_sum(results))


def _verdict(results: "list[Result]") -> Text:
    from cpi.testing.suite_run import WORST_FIRST

    found: list[Verdict] = [verdict for verdict in WORST_FIRST if any(result.verdict == verdict for result in results)]
    return Text(found[0], style=_STYLES[found[0]]) if found else Text("")


def _sum(results: "list[Result]") -> Text:
    counted = [
        Text(f"{count} {verdict}", style=style)
        for verdict, style in _STYLES.items()
        if (count := sum(result.verdict == verdict for result in results))
    ]
    seconds = sum(result.seconds for result in results)
    return Text("\n").append_text(Text(", ").join(counted)).append(f"; {seconds:.1f} s")
