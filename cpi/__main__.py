"""The executable: the CPI protocol on a pipe, commands for people otherwise."""

import os
import signal
import sys


def main() -> None:
    """Plain `cpi` on a pipe and `cpi rpc` serve one call; everything else is a command."""
    _end_quietly_when_interrupted()
    arguments = sys.argv[1:]
    if arguments[:1] == ["rpc"]:
        from cpi.rpc import process

        process.run(arguments[1:])
    if not arguments and not _at_a_terminal() and not _completing():
        from cpi.rpc import process

        process.run([])
    if not arguments and not _completing():
        sys.argv.append("--help")
    from cpi.cli import main as command

    command()


def _end_quietly_when_interrupted() -> None:
    """Nothing was done yet: a Ctrl-C while this is loaded ends the process, with no trace of what was being loaded."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _at_a_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _completing() -> bool:
    """Whether a shell asks for completions: zsh does so without a terminal as stdin."""
    return "_CPI_COMPLETE" in os.environ


if __name__ == "__main__":
    main()
