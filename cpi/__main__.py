"""The executable: the CPI protocol on a pipe, commands for people otherwise."""

import signal
import sys


def main() -> None:
    """Bare `cpi` on a pipe and `cpi rpc` serve one call; everything else is a command."""
    _end_quietly_when_interrupted()
    arguments = sys.argv[1:]
    if arguments[:1] == ["rpc"]:
        from cpi.rpc import process

        process.run(arguments[1:])
    if not arguments and not _at_a_terminal():
        from cpi.rpc import process

        process.run([])
    if not arguments:
        sys.argv.append("--help")
    from cpi.cli import main as command

    command()


def _end_quietly_when_interrupted() -> None:
    """Nothing was done yet: a Ctrl-C while this is loaded ends the process, with no trace of what was being loaded."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _at_a_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


if __name__ == "__main__":
    main()
