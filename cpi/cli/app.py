"""The `cpi` command with all its subcommands."""

import logging
import sys
import traceback
from importlib.metadata import version
from types import TracebackType
from typing import Annotated, Final

import typer

from cpi.cli import screen
from cpi.cli.agent_settings import agent_settings
from cpi.cli.call import call
from cpi.cli.checking import check
from cpi.cli.conformance import conformance
from cpi.cli.containers import containers
from cpi.cli.demo import demo
from cpi.cli.doctor import doctor
from cpi.cli.drivers import drivers
from cpi.cli.migrate import migrate
from cpi.cli.migrations import migrations
from cpi.cli.new_driver import new_driver
from cpi.cli.orphans import orphans
from cpi.cli.serve import serve
from cpi.cli.sweep import sweep
from cpi.cli.watching import resurrect, watch
from cpi.cli.worker import worker
from cpi.contract import errors

app = typer.Typer(
    name="cpi",
    help="One BOSH CPI for every cloud.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_CPI: Final = "CPI"
_DISKS: Final = "Disks"
_INSTANCES: Final = "Instances"
_CHECKS: Final = "Checks"

app.command(rich_help_panel=_CPI, no_args_is_help=True)(call)
app.command(rich_help_panel=_CPI, name="agent-settings")(agent_settings)
app.command(rich_help_panel=_CPI)(drivers)
app.command(rich_help_panel=_CPI, no_args_is_help=True)(serve)
app.command(rich_help_panel=_CPI, name="new-driver", no_args_is_help=True)(new_driver)
app.command(rich_help_panel=_DISKS, no_args_is_help=True)(migrate)
app.add_typer(migrations, name="migrations", rich_help_panel=_DISKS)
app.command(rich_help_panel=_DISKS)(worker)
app.command(rich_help_panel=_DISKS)(orphans)
app.command(rich_help_panel=_INSTANCES, no_args_is_help=True)(watch)
app.command(rich_help_panel=_INSTANCES, no_args_is_help=True)(resurrect)
app.command(rich_help_panel=_INSTANCES, no_args_is_help=True)(check)
app.add_typer(containers, name="containers", rich_help_panel=_INSTANCES)
app.command(rich_help_panel=_CHECKS)(doctor)
app.command(rich_help_panel=_CHECKS)(sweep)
app.command(rich_help_panel=_CHECKS)(conformance)
app.command(rich_help_panel=_CHECKS)(demo)


def run() -> None:
    """Run the command that the arguments name. Errors are shown in red, with exit status 1."""
    logging.lastResort = screen.Warnings()
    try:
        app()
    except errors.Error as error:
        screen.fail(error.message)
    except OSError as error:
        screen.fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    finally:
        sys.excepthook = _show_unforeseen


def _show_unforeseen(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    screen.show_at_once("".join(traceback.format_exception(kind, error, trace)).rstrip())
    screen.show_fault(f"unexpected error in cpi: {kind.__name__}; please report it with the traceback above")


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer hands the option's value over by position
    if wanted:
        sys.stdout.write(f"cpi {version('multicpi')}\n")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[  # noqa: FBT002 - a flag of the command line
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """One BOSH CPI for every cloud."""


@app.command(rich_help_panel=_CPI)
def rpc() -> None:
    """Serve one CPI request on stdin and stdout, for a director.

    Usage: cpi rpc [--config FILE]. Plain cpi with a pipe as stdin does the same. Without --config the configuration is
    $CPI_CONFIG, or ../config/cpi.json relative to the executable.
    """
    screen.fail("`rpc` must be the first argument: run `cpi rpc [--config FILE]`")
