"""The policy API itself: the one room that speaks HTTP to an NSX manager."""

import functools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import httpx
import msgspec

from cpi.kit.proxies import Proxies
from cpi.kit.redaction import scrubbed
from cpi.kit.retrying import repeated
from cpi.kit.waiting import refuse_late
from cpi_drivers.vsphere.api import connection
from cpi_drivers.vsphere.api.errors import AnswerLost, Unreached
from cpi_drivers.vsphere.api.nsxt import trust
from cpi_drivers.vsphere.api.nsxt.errors import PASSING, NsxConcurrent, NsxConflict, NsxRefused, check
from cpi_drivers.vsphere.api.nsxt.naming import POLICY, Document
from cpi_drivers.vsphere.api.nsxt.session import Rights, Sessions
from cpi_drivers.vsphere.api.retries import patiently
from cpi_drivers.vsphere.nsxt_settings import Nsxt

T = TypeVar("T")
Change = Callable[[Document], Document | None]

_CONFLICTS: Final = 60
_PAGE: Final = 1000
_GONE: Final = 404
_UNAUTHENTICATED: Final = frozenset({401, 403})


class Nsx:
    """One NSX manager. Any number of threads may use it; nothing is asked before it is needed."""

    def __init__(self, settings: Nsxt, folder: Path) -> None:
        self.settings = settings
        self.url = connection.address(settings.host, "nsxt.host").url
        self._trust = trust.context(settings)
        self._sessions = Sessions(settings, self.url, folder)
        self._lock = threading.RLock()

    def close(self) -> None:
        """Let go of connections; the session stays for the next process."""
        if "_http" in vars(self):
            self._http.close()
            del self._http

    # ------------------------------------------------------------------ looking

    def get(self, path: str, **parameters: str) -> Document:
        """One thing. Raises NsxRefused (404) if it is not there."""
        return _again(lambda: self._asked("GET", path, parameters))

    def found(self, path: str) -> Document | None:
        """One thing, if it is there."""
        try:
            return self.get(path)
        except NsxRefused as error:
            if error.status != _GONE:
                raise
            return None

    def pages(self, path: str, **parameters: str) -> Iterator[Document]:
        """Everything in a list, page by page."""
        asked = {"page_size": str(_PAGE), **parameters}
        while True:
            answer = self.get(path, **asked)
            yield from answer.get("results", ())
            if not answer.get("cursor"):
                return
            asked["cursor"] = str(answer["cursor"])

    def search(self, kind: str, wanted: str) -> list[Document]:
        """What the search finds; it is some seconds behind what was changed."""
        query = f"resource_type:{kind} AND marked_for_delete:false AND {wanted}"
        return list(self.pages(f"{POLICY}/search/query", query=query))

    # ------------------------------------------------------------------ changing

    def changed(self, path: str, change: Change) -> None:
        """What lies at path, read, changed and written; read anew when somebody else was faster, or no answer came.

        change answers None if nothing is to be changed: so what was carried out without an answer is found done.
        """

        def attempt() -> None:
            wanted = change(self._asked("GET", path))
            if wanted is not None:
                self._asked("PUT", path, body=wanted)

        repeated(lambda: _again(attempt), on=NsxConflict, attempts=_CONFLICTS, longest_pause_seconds=2.0)

    def make(self, path: str, document: Document) -> None:
        """A thing of an id that nothing else has: after a lost answer it is found, and is ours."""
        lost: list[AnswerLost] = []

        def attempt() -> None:
            try:
                self._asked("PUT", path, body=document)
            except AnswerLost as error:
                lost.append(error)
                raise
            except NsxConflict:
                if not lost or self.found(path) is None:
                    raise

        repeated(lambda: _again(attempt), on=NsxConcurrent, attempts=_CONFLICTS, longest_pause_seconds=2.0)

    def remove(self, path: str) -> bool:
        """Whether it was there."""

        def attempt() -> bool:
            self._asked("DELETE", path)
            return True

        try:
            return repeated(lambda: _again(attempt), on=NsxConflict, attempts=_CONFLICTS, longest_pause_seconds=2.0)
        except NsxRefused as error:
            if error.status != _GONE:
                raise
            return False

    def put_in_place(self, path: str, document: Document, **parameters: str) -> None:
        """A POST that replaces: the same once more changes nothing."""
        _again(lambda: self._asked("POST", path, parameters, document))

    # ------------------------------------------------------------------ one attempt

    def _asked(self, method: str, path: str, parameters: Mapping[str, str] | None = None, body: Document | None = None) -> Any:
        """The answer's document. A session that is over is begun anew, once."""
        refuse_late(f"{method} {path}")
        target = quote(path, safe="/:") + (f"?{urlencode(parameters)}" if parameters else "")
        headers: dict[str, str] = {"Content-Type": "application/json"} if body is not None else {}
        if self.settings.allow_overwrite and method != "GET":
            headers["X-Allow-Overwrite"] = "true"
        content = msgspec.json.encode(body) if body is not None else b""
        rights = self._rights()
        try:
            answer = self._sent(method, target, content, {**headers, **rights.headers})
        except NsxRefused as error:
            if not rights.is_session or error.status not in _UNAUTHENTICATED:
                raise
            self._sessions.renew(rights)
            answer = self._sent(method, target, content, {**headers, **self._rights().headers})
        return json.loads(answer.content) if answer.content.strip() else {}

    def _rights(self) -> Rights:
        with self._lock:
            return self._sessions.rights(self._sent)

    def _sent(self, method: str, target: str, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
        asked = f"{method} {target.partition('?')[0]}"
        try:
            answer = self._http.request(method, target, content=content, headers=dict(headers))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unreached(f"{asked}: {self.url} cannot be reached: {_told(error)}") from error
        except httpx.HTTPError as error:
            raise AnswerLost(f"{asked}: no answer from {self.url}: {_told(error)}") from error
        check(asked, answer.status_code, answer.headers, answer.content)
        return answer

    @functools.cached_property
    def _http(self) -> httpx.Client:
        by = Proxies.of_environment().for_url(self.url)  # one rule for all clouds; httpx's own reading is another
        return httpx.Client(
            base_url=self.url,
            verify=self._trust,
            timeout=self.settings.request_timeout,
            trust_env=False,
            proxy=by.url if by is not None else None,
        )


def _again(attempt: Callable[[], T]) -> T:
    """NSX names the times at which it may be asked again."""
    return patiently(attempt, PASSING, at_least=lambda error: getattr(error, "after_seconds", 0.0))


def _told(error: Exception) -> str:
    told = scrubbed(str(error) or type(error).__name__)
    return f"{told} (see nsxt.ca_cert)" if "CERTIFICATE_VERIFY_FAILED" in told else told
