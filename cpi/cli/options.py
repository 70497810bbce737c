"""Options that several commands take."""

from pathlib import Path
from typing import Annotated, Final

import typer

CONFIG_HELP: Final = "CPI configuration file (same format as the official CPIs)."

ConfigFile = Annotated[
    Path,
    typer.Option("--config", envvar="CPI_CONFIG", show_default=False, help=CONFIG_HELP),
]
