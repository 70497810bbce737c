"""Commands for people. The executable's rpc path imports nothing of this."""


def main() -> None:
    """Run the command that the arguments name, and end the process with its exit status."""
    from cpi.cli.app import run

    run()
