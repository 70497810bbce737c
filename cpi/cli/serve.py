"""`cpi serve`: calls answered in a fraction of the time of a start."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cpi.rpc.warm import starting


def serve(
    *,
    config: Annotated[Path, typer.Option(help="The configuration whose calls are to be quick.")],
    idle: Annotated[int, typer.Option(help="Seconds without a call after which it ends.", min=1)] = 600,
) -> None:
    """Keep a process ready for the calls of one configuration.

    `cpi` and `cpi rpc` find it by themselves, and work without it. It ends when it is idle, or when the configuration or the
    installed code changes. The configuration can start it by itself: `cloud.properties.warm: {idle: 10m}`.
    """
    command = starting.command(str(config), idle)
    os.execv(command[0], command)  # noqa: S606 - the same interpreter, without what commands for people load
