"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path,
    typer.Option(
        "--config", envvar="CPI_CONFIG", show_default=False, help="The configuration: the document of the official CPIs."
    ),
]
