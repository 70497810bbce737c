"""The one room that knows the wire: XML over urllib3, repeated where it may be, and tasks waited for.

urllib3 it is, and neither pyvcloud nor libcloud: docs/drivers/vcloud.md tells what each costs and lacks.
"""

import logging
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote, urlsplit

import urllib3

from cpi.contract import errors
from cpi.kit import deadline
from cpi.kit.failures import AnswerLost, Passing
from cpi.kit.proxies import Proxies
from cpi.kit.redaction import scrubbed
from cpi.kit.retrying import repeated
from cpi.kit.usual import Usual
from cpi.kit.waiting import Overdue, refuse_late, wait_until
from cpi_drivers.vcloud.api import documents
from cpi_drivers.vcloud.api.documents import Element
from cpi_drivers.vcloud.api.errors import Busy, Failed, Refused, refusal
from cpi_drivers.vcloud.api.session import Reply, Session, Sessions
from cpi_drivers.vcloud.settings import VcloudSettings

Record = Mapping[str, str]

_PAGE: Final = 128
_CHUNK: Final = 1 << 20
_UNAUTHORIZED: Final = 401
_DISTRUST: Final = "CERTIFICATE_VERIFY_FAILED"  # OpenSSL's word; other failures of TLS may pass
_NOT_DONE: Final = frozenset({429, 503})  # refused by what stands in front, before anything was done
_ENDED: Final = frozenset({"success", "error", "canceled", "aborted"})
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 10.0
_LONGEST_BUSY_PAUSE_SECONDS: Final = 5.0
_MANY: Final = 1_000_000
_THREADS: Final = 16  # that have a connection kept for them
_NEVER_SENT: Final = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)

_log = logging.getLogger(__name__)


class Client:
    """One set of credentials. Any number of threads may call it."""

    def __init__(self, settings: VcloudSettings, folder: Path) -> None:
        self._settings = settings
        self._usual = Usual("vcloud", settings.cache_folder)
        self._folder = folder
        self._secrets = frozenset(secret.reveal() for secret in (settings.password, settings.api_token) if secret)
        self._pool = _pool(settings)
        self._sessions = Sessions(settings, folder, self._ask_unauthenticated)

    @property
    def folder(self) -> Path:
        """Where caches and locks lie."""
        return self._folder

    @property
    def session(self) -> Session:
        """The login, made if there is none."""
        return self._sessions.current()

    def address(self, path: str) -> str:
        """The address of a path, as documents name it."""
        return self._settings.root + path

    def close(self) -> None:
        """Let go of connections; the session stays for the next process."""
        self._pool.clear()

    # ------------------------------------------------------------------ calls

    def get(self, href: str) -> Element:
        """What is there. Raises Missing and other kinds of Refused."""
        return self._call("GET", href, safe=True)

    def post(self, href: str, body: Element | None = None, kind: str = "", *, idempotent: bool = False) -> Element:
        """What is answered; idempotent: the same call once more changes nothing, so it may be repeated when no answer came.

        Raises Refused and its kinds for what the cloud will not do; AnswerLost if it may have been done; CpiError for
        credentials; CloudError for what went on failing.
        """
        return self._call("POST", href, body, kind, safe=idempotent)

    def made(self, href: str, body: Element, kind: str) -> Element:
        """As post, of what has an address then: the thing, the task that makes it, or the entity in a catalog item."""
        answer = self.post(href, body, kind)
        documents.address_of(answer, f"POST {urlsplit(href).path}")
        return answer

    def run(self, href: str, what: str, body: Element | None = None, kind: str = "", *, idempotent: bool = False) -> None:
        """A call that begins a task, which has succeeded when this returns."""
        self.finished(self.post(href, body, kind, idempotent=idempotent), what)

    def run_unless(self, href: str, what: str, is_done: Callable[[], bool], body: Element | None = None, kind: str = "") -> None:
        """As run; what is refused because it is done already, by a call that was killed or not answered, is done."""
        try:
            self.run(href, what, body, kind, idempotent=True)
        except Refused:
            if not is_done():
                raise

    def put(self, href: str, what: str, body: Element, kind: str) -> None:
        """What is there is as the body says when this returns."""
        self.finished(self._call("PUT", href, body, kind, safe=True), what)

    def delete(self, href: str, what: str) -> None:
        """It is gone when this returns. Raises Missing if it was gone before."""
        self.finished(self._call("DELETE", href, safe=True), what)

    def records(self, kind: str, *filters: str) -> Iterator[Record]:
        """What the cloud finds, page by page; filters are `name==value`, values escaped by equal()."""
        number = 1
        while True:
            query = f"/api/query?type={kind}&format=records&page={number}&pageSize={_PAGE}&filterEncoded=true"
            root = self.get(f"{query}&filter=({quote(';'.join(filters), safe='=;:/.!-_%')})")
            found = [element for element in root if documents.name_of(element).endswith("Record")]
            yield from (element.attrib for element in found)
            if len(found) < _PAGE or number * _PAGE >= int(root.get("total", "0")):
                return
            number += 1

    def finished(self, answer: Element, what: str) -> None:
        """Wait for the task that an answer is, or for those that it has. Raises Refused with its own text if one failed."""
        tasks = [answer] if documents.name_of(answer) == "Task" else documents.every(answer, "Tasks/Task")
        for task in tasks:
            self._ended(task, what)

    def cancel(self, entity: Element) -> None:
        """Nothing works on what an answer shows any more, as far as the cloud lets go of it."""
        tasks = [entity] if documents.name_of(entity) == "Task" else documents.every(entity, "Tasks/Task")
        for task in tasks:
            if task.get("status") in _ENDED:
                continue
            try:
                self.post(f"{task.get('href')}/action/cancel", idempotent=True)
            except errors.CloudError as error:
                _log.info("the task %s goes on: %s", task.get("operationName"), error)

    def until(self, what: str, look: Callable[[], Any]) -> Any:
        """The first answer of look that is not None."""
        control = self._settings.patience
        return wait_until(
            look,
            what,
            deadline_seconds=control.wait_max,
            first_pause_seconds=min(_FIRST_PAUSE_SECONDS, control.wait_delay),
            longest_pause_seconds=control.wait_delay,
            usual=self._usual,
        )

    def upload(self, href: str, file: IO[bytes], size: int, what: str) -> None:
        """A file to where the cloud wants it, streamed; once more only if it was refused before it was taken."""
        self._repeated(lambda: self._uploaded(href, file, size, what))

    # ------------------------------------------------------------------ attempts

    def _call(self, method: str, href: str, body: Element | None = None, kind: str = "", *, safe: bool) -> Element:
        sent = documents.written(body) if body is not None else b""
        asked = f"{method} {urlsplit(href).path}"
        if not urlsplit(href).path.startswith("/"):
            raise errors.CloudError(f"{asked}: an answer before gave no address to go on with; what was asked may have been done")
        refuse_late(asked)
        extra = {"Content-Type": f"application/vnd.vmware.{kind}+xml"} if kind else {}

        def attempts() -> Element:
            answer: Element = self._repeated(lambda: self._once(asked, method, href, extra, sent, safe=safe))
            return answer

        return repeated(
            attempts,
            on=Busy,
            attempts=_MANY,
            deadline_seconds=self._settings.patience.wait_max,
            first_pause_seconds=self._settings.patience.retry_delay,
            longest_pause_seconds=_LONGEST_BUSY_PAUSE_SECONDS,
        )

    def _repeated(self, attempt: Callable[[], Any]) -> Any:
        return repeated(
            attempt,
            on=Passing,
            attempts=self._settings.patience.retry_max,
            first_pause_seconds=self._settings.patience.retry_delay,
            longest_pause_seconds=_LONGEST_PAUSE_SECONDS,
            at_least=lambda error: getattr(error, "after_seconds", 0.0),
        )

    def _once(self, asked: str, method: str, href: str, extra: Mapping[str, str], body: bytes, *, safe: bool) -> Element:
        session = self.session
        reply = self._answered(asked, method, href, {**session.headers, **extra}, body, safe=safe)
        if reply.status == _UNAUTHORIZED:
            self._sessions.refused(session)
            reply = self._answered(asked, method, href, {**self.session.headers, **extra}, body, safe=safe)
        return _document(asked, reply, safe=safe)

    def _answered(self, asked: str, method: str, href: str, headers: Mapping[str, str], body: bytes, *, safe: bool) -> Reply:
        try:
            return self._exchange(method, _path(href), headers, body)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unanswered(asked, error, safe=safe) from error

    def _uploaded(self, href: str, file: IO[bytes], size: int, what: str) -> None:
        session = self.session
        headers = {**session.headers, "Content-Length": str(size), "Content-Type": "application/octet-stream"}
        file.seek(0)
        try:
            reply = self._exchange("PUT", _path(href), headers, _chunks(file, what, size))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise AnswerLost(f"{what}: the upload broke off: {scrubbed(str(error), self._secrets)}") from error
        told = f"{what}: the upload was refused: {reply.status} {_plain(reply.body)}"
        if reply.status == _UNAUTHORIZED:
            self._sessions.refused(session)
        if reply.status in {_UNAUTHORIZED, *_NOT_DONE}:
            raise Passing(told, after_seconds=_asked_pause(reply))
        if reply.status >= 300:  # noqa: PLR2004 - what is not a success
            raise errors.CloudError(told)

    def _ask_unauthenticated(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """For logins, which may be repeated."""
        asked = f"{method} {path}"

        def attempt() -> Reply:
            reply = self._answered(asked, method, path, headers, body, safe=True)
            if reply.status in _NOT_DONE or reply.status >= 500:  # noqa: PLR2004 - a fault of the server's
                raise Passing(f"{asked}: {reply.status} {_plain(reply.body)}", after_seconds=_asked_pause(reply))
            return reply

        try:
            reply: Reply = self._repeated(attempt)
        except Passing as error:
            raise errors.CloudError(error.message) from error  # else the call that wanted a login would repeat all of it
        return reply

    def _exchange(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> Reply:
        began = time.monotonic()
        url = self._settings.root + path
        answer = self._pool.request(method, url, body=body, headers=dict(headers), retries=False, redirect=False)
        _log.debug("%s %s: %s in %.2f s", method, path.partition("?")[0], answer.status, time.monotonic() - began)
        return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.data)

    def _unanswered(self, asked: str, error: Exception, *, safe: bool) -> errors.Error:
        told = scrubbed(f"{type(error).__name__}: {error}", self._secrets)
        if _DISTRUST in told:
            return errors.CloudError(f"{asked}: the certificate of {self._settings.root} is not trusted (see ca_cert): {told}")
        if safe or isinstance(error, _NEVER_SENT):
            return Passing(f"{asked}: {self._settings.root} does not answer: {told}")
        return AnswerLost(f"{asked}: no answer came, it may have been done: {told}")

    def _ended(self, task: Element, what: str) -> None:
        def look() -> Element | None:
            nonlocal task
            if task.get("status") not in _ENDED:
                task = self.get(task.get("href", ""))
            return task if task.get("status") in _ENDED else None

        if task.get("status") not in _ENDED:
            try:
                self.until(what, look)
            except Overdue:
                with deadline.time_to_undo():
                    self.cancel(task)  # else it might be done after it was reported as failed
                raise
        if task.get("status") != "success":
            raise _failure(what, task)


def equal(**wanted: str) -> list[str]:
    """Filters of records: names and values, escaped so that no value can say more than itself."""
    return [f"{name}=={quote(value, safe=':/.')}" for name, value in wanted.items()]


def _failure(what: str, task: Element) -> Refused:
    error = documents.one(task, "Error")
    if error is None:
        return Failed(what, "", "", f"the task {task.get('operationName', '')} is {task.get('status')} and says nothing more")
    return refusal(what, _number(error.get("majorErrorCode")), error.get("minorErrorCode", ""), error.get("message", ""))


def _document(asked: str, reply: Reply, *, safe: bool) -> Element:
    if reply.status < 300 and not reply.body:  # noqa: PLR2004 - a success
        return documents.make("Nothing")
    try:
        root = documents.read(reply.body)
    except documents.Unreadable:
        raise _unreadable(asked, reply, safe=safe) from None
    if reply.status < 300:  # noqa: PLR2004 - a success
        return root
    if reply.status in _NOT_DONE:
        raise Passing(f"{asked}: {reply.status} {root.get('message', '')}", after_seconds=_asked_pause(reply))
    if reply.status == _UNAUTHORIZED:
        raise errors.CpiError(f"{asked}: the session is refused as soon as it is made: {root.get('message', '')}")
    error = refusal(asked, reply.status, root.get("minorErrorCode", ""), root.get("message", ""))
    raise Passing(error.message) if isinstance(error, Failed) and safe else error


def _unreadable(asked: str, reply: Reply, *, safe: bool) -> errors.Error:
    told = f"{asked}: {reply.status}, and no answer of Cloud Director's: {_plain(reply.body)!r}"
    if reply.status in _NOT_DONE or (safe and (reply.status >= 500 or reply.status < 300)):  # noqa: PLR2004 - faults, successes
        return Passing(told, after_seconds=_asked_pause(reply))
    if reply.status >= 500 or reply.status < 300:  # noqa: PLR2004 - as above
        return AnswerLost(f"{told}; it may have been done")
    if reply.status in {403, 404}:
        return refusal(asked, reply.status, "", _plain(reply.body))
    return errors.CpiError(f"{told}; is url right?")


def _pool(settings: VcloudSettings) -> urllib3.PoolManager:
    control = settings.patience
    options: dict[str, Any] = {
        "timeout": urllib3.Timeout(connect=control.connect_timeout, read=control.read_timeout),
        "maxsize": _THREADS,
    }
    if settings.root.startswith("https:"):
        options["ssl_context"] = _trust(settings)
    named = Proxies.of_environment().for_url(settings.root)
    proxy = settings.proxy or (named.url if named else None)
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)


def _trust(settings: VcloudSettings) -> ssl.SSLContext:
    if not settings.verify_ssl:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the operator has turned it off in writing
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    given = settings.ca_cert or ""
    try:
        if "-----BEGIN" in given:
            return ssl.create_default_context(cadata=given)
        return ssl.create_default_context(cafile=given or None)
    except (OSError, ssl.SSLError) as error:
        raise errors.CpiError(f"ca_cert holds no certificates: {error}") from error


def _path(href: str) -> str:
    """Only this is taken of an address: a token goes to the host that the configuration names, whatever an answer says."""
    parts = urlsplit(href)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _chunks(file: IO[bytes], what: str, size: int) -> Iterator[bytes]:
    sent = told = 0
    while chunk := file.read(_CHUNK):
        yield chunk
        sent += len(chunk)
        if sent - told > size // 10:
            told = sent
            _log.info("%s: %d of %d MiB sent", what, sent >> 20, size >> 20)


def _asked_pause(reply: Reply) -> float:
    told = reply.headers.get("retry-after", "")
    return float(told) if told.replace(".", "", 1).isdigit() else 0.0


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _plain(body: bytes) -> str:
    return scrubbed(" ".join(body.decode("utf-8", "replace").split()))[:200]
