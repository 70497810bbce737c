"""The logs of a VM's processes. Imported before the launcher has answered, so it imports next to nothing."""

import os

LOG_LIMIT_BYTES = 10 * 1024 * 1024


def rotate(log: str) -> None:
    """Moves a log that has grown large aside; the one before it is dropped."""
    if os.path.exists(log) and os.path.getsize(log) > LOG_LIMIT_BYTES:  # noqa: PTH110, PTH202 - pathlib costs time
        os.replace(log, f"{log}.1")  # noqa: PTH105 - as above
