"""The commands, put together."""

import logging
import sys
import traceback
from importlib.metadata import version
from types import TracebackType
from typing import Annotated

import typer

from cpi.cli import screen
from cpi.cli.agent_settings import agent_settings
from cpi.cli.call import call
from cpi.cli.checking import check
from cpi.cli.conformance import conformance
from cpi.cli.demo import demo
from cpi.cli.doctor import doctor
from cpi.cli.drivers import drivers
from cpi.cli.migrate import migrate
from cpi.cli.migrations import migrations
from cpi.cli.new_driver import new_driver
from cpi.cli.orphans import orphans
from cpi.cli.watching import resurrect, watch
from cpi.cli.worker import worker
from cpi.contract import errors

app = typer.Typer(
    name="cpi",
    help="One BOSH CPI for every cloud.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.command(no_args_is_help=True)(call)
app.command(no_args_is_help=True)(migrate)
app.add_typer(migrations, name="migrations")
app.command()(worker)
app.command()(orphans)
app.command(no_args_is_help=True)(watch)
app.command(no_args_is_help=True)(resurrect)
app.command(no_args_is_help=True)(check)
app.command()(drivers)
app.command()(doctor)
app.command()(conformance)
app.command(name="agent-settings")(agent_settings)
app.command(name="new-driver", no_args_is_help=True)(new_driver)


def run() -> None:
    """Run the command named by the arguments. What is wrong is told in red, with exit status 1."""
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
    screen.show_fault(f"cpi is at fault: {kind.__name__} was not foreseen; please report it with the trace above")


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


@app.command()
def rpc() -> None:
    """Serve one CPI request on stdin and stdout, for a director.

    cpi rpc [--config FILE]; bare cpi on a pipe does the same. Without --config the configuration is $CPI_CONFIG, or
    ../config/cpi.json beside the executable.
    """
    screen.fail("cpi rpc is served before any command: start it as `cpi rpc`, with nothing before it")
