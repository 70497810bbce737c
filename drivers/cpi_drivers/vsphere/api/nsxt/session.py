"""Who asks: by a session that processes share, by a certificate, or by a password of vIDM's with each request."""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlencode

from cpi.contract import errors
from cpi.kit import private_files
from cpi.kit.redaction import remember
from cpi_drivers.vsphere.api.nsxt.errors import NsxRefused
from cpi_drivers.vsphere.nsxt_settings import Nsxt

if TYPE_CHECKING:
    import httpx

Send = Callable[[str, str, bytes, Mapping[str, str]], "httpx.Response"]

_COOKIE: Final = "JSESSIONID"
_TOKEN: Final = "X-XSRF-TOKEN"  # noqa: S105 - the name of a header
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_REFUSALS: Final = frozenset({400, 401, 403})


class Rights(NamedTuple):
    """The headers that tell who asks."""

    headers: Mapping[str, str]
    is_session: bool = False
    """NSX may end it at any time."""


class Sessions:
    """One user of one NSX manager; a session is kept in a file for the next process."""

    def __init__(self, settings: Nsxt, url: str, folder: Path) -> None:
        self._settings = settings
        self._url = url
        secret = settings.password.reveal() if settings.password else None
        self._path = private_files.named(folder, "nsxt-session", url, settings.username, secret)
        self._rights: Rights | None = None

    def rights(self, send: Send) -> Rights:
        """Logs in if no session is kept. Raises CloudError if NSX does not let the user in."""
        if self._rights is None:
            self._rights = self._found(send)
            remember(value.rpartition("=")[2] for value in self._rights.headers.values())
        return self._rights

    def renew(self, refused: Rights) -> None:
        """NSX has refused these: the next request logs in, unless another process has."""
        if self._rights is refused:
            self._rights = None
            if self._kept() == refused.headers:
                private_files.forget(self._path)

    def _found(self, send: Send) -> Rights:
        if self._settings.has_certificate:
            return Rights({})
        if self._settings.remote_auth:
            told = base64.b64encode(":".join(self._credentials()).encode()).decode()
            return Rights({"Authorization": f"Remote {told}"})
        kept = self._kept()
        return Rights(kept, is_session=True) if kept else self._logged_in(send)

    def _kept(self) -> dict[str, str] | None:
        kept = private_files.read(self._path)
        return kept if isinstance(kept, dict) and {"Cookie", _TOKEN} == kept.keys() else None

    def _logged_in(self, send: Send) -> Rights:
        name, password = self._credentials()
        try:
            answer = send("POST", "/api/session/create", urlencode({"j_username": name, "j_password": password}).encode(), _FORM)
        except NsxRefused as error:
            if error.status not in _REFUSALS:
                raise
            raise errors.CloudError(f"{self._url} does not let {name!r} in: {error.said}") from error
        cookie, token = answer.cookies.get(_COOKIE), answer.headers.get(_TOKEN)
        if not cookie or not token:
            raise errors.CloudError(
                f"{self._url} began no session: its answer has no {_COOKIE} and {_TOKEN}; is nsxt.host right?"
            )
        headers = {"Cookie": f"{_COOKIE}={cookie}", _TOKEN: token}
        private_files.keep(self._path, headers)
        return Rights(headers, is_session=True)

    def _credentials(self) -> tuple[str, str]:
        password = self._settings.password
        return self._settings.username or "", password.reveal() if password else ""
