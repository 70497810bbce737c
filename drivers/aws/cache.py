"""What short processes leave for the next: files in one folder of the user's, each readable by its owner alone."""

import contextlib
import json
import logging
import os
import tempfile
from pathlib import Path

_log = logging.getLogger(__name__)


def folder() -> Path:
    """Where they are; it may not be there yet."""
    home = os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError):
        return Path(home) / "multicpi" / "aws" if home else Path.home() / ".cache" / "multicpi" / "aws"
    return Path(tempfile.gettempdir()) / f"multicpi-{os.getuid()}" / "aws"


def keep(path: Path, document: object) -> None:
    """Write document as JSON, whole or not at all. A file that can not be written is logged, and costs the next process time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file)
        Path(name).replace(path)
    except OSError as error:
        _log.info("%s is not kept for the next process: %s", path.name, error)
