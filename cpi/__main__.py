"""The executable: the CPI protocol on a pipe, commands for people otherwise."""

import _signal  # type: ignore[import-not-found]  # built in, and known to no stub: signal itself takes its time
import os
import sys


def main() -> None:
    """Plain `cpi` on a pipe and `cpi rpc` serve one call; everything else is a command."""
    _end_quietly_when_interrupted()
    arguments = sys.argv[1:]
    if arguments[:1] == ["rpc"]:
        _serve(arguments[1:])
    if not arguments and not _at_a_terminal() and not _completing():
        _serve([])
    if not arguments and not _completing():
        sys.argv.append("--help")
    from cpi.cli import main as command

    command()


def _serve(arguments: list[str]) -> None:
    """By a process that is ready, or here."""
    from cpi.rpc.warm import launcher

    launcher.hand_over(arguments)
    from cpi.rpc import process

    process.run(arguments)


def _end_quietly_when_interrupted() -> None:
    """Nothing was done yet: a Ctrl-C while this is loaded ends the process, with no trace of what was being loaded."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def _at_a_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _completing() -> bool:
    """Whether a shell asks for completions: zsh does so without a terminal as stdin."""
    return "_CPI_COMPLETE" in os.environ


if __name__ == "__main__":
    main()
