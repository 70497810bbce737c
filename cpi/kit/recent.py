"""What was made or changed a moment ago, by whichever process: clouds that copy their records about may not know it yet.

Each CPI call is a process: what create_vm made is named by the next one, a second later.
"""

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

from cpi.contract import errors

_log = logging.getLogger(__name__)

T = TypeVar("T")

_ENDED: Final = ".ended"
_KEPT_SECONDS: Final = 3600.0


class Recent:
    """Ids by their age: an empty file for each. What cannot be written is known to this process alone."""

    def __init__(self, place: Path | None, seconds: float) -> None:
        # None: nothing can be written for other processes, as below a file that is no folder.
        self._place = place or Path(os.devnull)
        self._seconds = seconds
        self._known: dict[str, float] = {}

    def note(self, ids: Iterable[str], *, anew: bool = False) -> None:
        """They were just made, or changed (anew). What has ended stays so: a token's answer may tell of what is gone."""
        new = [one for one in ids if (anew or not self.left(one)) and not self._file(one, _ENDED).exists()]
        for one in new:
            self._known[one] = time.time()
            self._touch(self._file(one))
        if new:
            self._tidy()

    def end(self, ids: Iterable[str]) -> None:
        """They were removed: that they are not found is the truth."""
        for one in ids:
            self._known.pop(one, None)
            with contextlib.suppress(OSError):
                self._file(one).unlink(missing_ok=True)
            self._touch(self._file(one, _ENDED))

    def left(self, id_: str) -> float:
        """For how many seconds it may still be unknown to the cloud; 0: it is old, or never heard of."""
        at = self._known.get(id_) or _age(self._file(id_))
        return max(self._seconds - (time.time() - at), 0.0) if at is not None else 0.0

    def _file(self, id_: str, ending: str = "") -> Path:
        return self._place / f"{hashlib.sha256(id_.encode()).hexdigest()[:32]}{ending}"

    def _touch(self, file: Path) -> None:
        with contextlib.suppress(OSError):
            self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.touch(mode=0o600)
            os.utime(file)

    def _tidy(self) -> None:
        with contextlib.suppress(OSError):
            for file in list(self._place.iterdir()):
                if time.time() - (_age(file) or 0) > _KEPT_SECONDS:
                    file.unlink(missing_ok=True)


def once_known(call: Callable[[], T], early: Callable[[T | errors.CloudError], float], what: str) -> T:
    """The answer of call, which is made again while its answer or its refusal is too early.

    early: for how many seconds an answer or a refusal may mean "not yet"; 0: it means what it says.
    Raises the refusal that lasts.
    """
    result: T | errors.CloudError
    left = 0.0

    def settled() -> bool:
        nonlocal result, left
        try:
            result = call()
        except errors.CloudError as refusal:
            result = refusal
        left = early(result)
        return not left

    if not settled():
        from cpi.kit.waiting import Overdue, wait_until  # imported late: most calls succeed at once

        _log.info("%s names what was made a moment ago and is not known to it yet: waiting", what)
        with contextlib.suppress(Overdue):
            wait_until(settled, what, deadline_seconds=left, first_pause_seconds=0.2, longest_pause_seconds=3.0)
    if isinstance(result, errors.CloudError):
        raise result
    return result


def _age(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None
