"""The executable: the CPI protocol on a pipe, commands for people otherwise."""

import sys


def main() -> None:
    """Bare `cpi` on a pipe and `cpi rpc` serve one call; everything else is a command."""
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


def _at_a_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


if __name__ == "__main__":
    main()
