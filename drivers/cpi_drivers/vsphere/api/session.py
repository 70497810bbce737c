"""Sessions kept between processes: each CPI call is a process, and logging in costs more than most calls.

One file for each vCenter and user. A session is used until the vCenter refuses it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cpi.kit import private_files
from cpi.kit.redaction import remember

_FORM: Final = "3"
"""Of what a file holds: a file of another form is left alone."""


class SessionCache:
    """The file of one vCenter and user. What cannot be read or written is as if it were not there."""

    def __init__(self, folder: Path, credentials: Sequence[str]) -> None:
        self._path = private_files.named(folder, "vsphere-session", _FORM, *credentials)

    def read(self) -> Mapping[str, Any] | None:
        """What was kept."""
        kept = private_files.read(self._path)
        if not isinstance(kept, dict) or not {"cookie", "version", "content"} <= kept.keys():
            return None
        _hide(kept)
        return kept

    def write(self, state: Mapping[str, Any]) -> None:
        """Keep it."""
        _hide(state)
        private_files.keep(self._path, dict(state))

    def drop(self, state: Mapping[str, Any]) -> None:
        """Forget it, unless another process has logged in since."""
        kept = self.read()
        if kept is not None and kept["cookie"] == state["cookie"]:
            private_files.forget(self._path)


def _hide(state: Mapping[str, Any]) -> None:
    """The value of the cookie, which has a name and attributes too."""
    remember((str(state["cookie"]).partition(";")[0].partition("=")[2].strip('"'),))
