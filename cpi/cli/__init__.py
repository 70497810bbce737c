"""Commands for people. The executable's rpc path imports nothing of this."""

import signal


def main() -> None:
    """Run the command that the arguments name, and end the process with its exit status."""
    from cpi.cli.app import run

    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # while all this was loaded
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()
