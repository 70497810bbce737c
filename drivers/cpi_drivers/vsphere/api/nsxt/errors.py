"""What NSX's answers mean."""

import json
from collections.abc import Mapping
from typing import Any, Final

from cpi.kit.redaction import scrubbed
from cpi_drivers.vsphere.api.errors import THROTTLED, AnswerLost, Refused, Throttled, Unreached

_LONGEST_QUOTE: Final = 500


class NsxRefused(Refused):
    """NSX answered that it will not do it."""

    def __init__(self, asked: str, status: int, said: str) -> None:
        super().__init__(asked, f"NSX answered {status}", said)
        self.status = status


class NsxConflict(NsxRefused):
    """Somebody else has changed it since it was read, or is changing it: nothing was done."""


class NsxConcurrent(NsxConflict):
    """Somebody else is changing it, or what it refers to, at this moment."""


class NsxBusy(Throttled):
    """Too many requests: nothing was done."""

    def __init__(self, message: str, after_seconds: float) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


PASSING: Final = (AnswerLost, Unreached)
"""After these the same is asked again, where asking twice does no harm."""

_KINDS: Final = {409: NsxConcurrent, 412: NsxConflict}
_ERROR: Final = 400
_FAULT: Final = 500


def check(asked: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raises what an answer that is no success means."""
    if status < 300:  # noqa: PLR2004 - HTTP's successes end here
        return
    said = _said(body)
    if status in THROTTLED:
        raise NsxBusy(f"{asked}: NSX answered {status}: {said}".rstrip(": "), _seconds(headers.get("Retry-After", "")))
    if status >= _FAULT:
        raise AnswerLost(f"{asked}: NSX answered {status}, it may have been done: {said}".rstrip(": "))
    if status < _ERROR:
        raise NsxRefused(asked, status, f"it is elsewhere ({headers.get('Location', '')}): name that address in nsxt.host")
    raise _KINDS.get(status, NsxRefused)(asked, status, said)


def _said(body: bytes) -> str:
    """NSX's own words: a message, its code, and messages related to it."""
    try:
        document: Any = json.loads(body or b"{}")
    except ValueError:
        return scrubbed(" ".join(body.decode("utf-8", "replace").split()))[:_LONGEST_QUOTE]
    if not isinstance(document, Mapping):
        return ""
    related = [one.get("error_message") for one in document.get("related_errors") or () if isinstance(one, Mapping)]
    parts = [document.get("error_message"), document.get("details"), *related]
    code = document.get("error_code")
    told = "; ".join(dict.fromkeys(str(part) for part in parts if part)) + (f" (code {code})" if code else "")
    return scrubbed(told)[:_LONGEST_QUOTE]


def _seconds(text: str) -> float:
    return min(float(text), 60.0) if text.isdecimal() else 0.0
