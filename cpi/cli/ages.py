"""Ages on the command line: 12h, 5d or 2w."""

import re
from typing import Final

from cpi.contract import errors

_SECONDS: Final = {"h": 3600, "d": 86_400, "w": 604_800}
_AGE: Final = re.compile(r"(\d{1,4})([hdw])")


def seconds_of(option: str, text: str) -> int:
    """Raises CpiError."""
    match = _AGE.fullmatch(text)
    if match is None:
        raise errors.CpiError(f"{option}: invalid age {text!r}; use 12h, 5d or 2w")
    return int(match[1]) * _SECONDS[match[2]]
