"""The one room that imports the SDK: signed calls by libcloud's connection, repeated where they may be, and jobs waited for.

Of libcloud it is the connection that serves. Its driver for compute lists whole accounts to find one thing, looks at jobs once a
second, and lacks volume resizing and template registration. Signing is ours: libcloud's leaves out what is sent in a body and
writes some characters in another way than the server, which then refuses the call.
"""

import base64
import datetime as dt
import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote, urlsplit

import requests
from libcloud.common.base import Response
from libcloud.common.cloudstack import CloudStackConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from cpi.contract import errors
from cpi.kit import private_files
from cpi.kit.failures import AnswerLost, Passing
from cpi.kit.redaction import scrubbed
from cpi.kit.retrying import repeated
from cpi.kit.usual import Usual
from cpi.kit.waiting import refuse_late, wait_until
from cpi_drivers.cloudstack.api.errors import Failed, NotLetIn, refusal
from cpi_drivers.cloudstack.settings import CloudStackSettings

Document = Mapping[str, Any]

_READS: Final = ("list", "queryAsyncJobResult", "getVirtualMachineUserData")
_PAGE: Final = 200
_PENDING: Final = 0
_FAILED: Final = 2
_OK: Final = 200
_DISTRUST: Final = "CERTIFICATE_VERIFY_FAILED"  # OpenSSL's word; other failures of TLS may pass
_NOT_DONE: Final = frozenset({429, 503})  # refused by what stands in front, before anything was done
_REDIRECTS: Final = range(300, 400)
_SIGNED_FOR: Final = dt.timedelta(minutes=15)  # a clock may be a little off; a call that was overheard is soon worth nothing
_FIRST_PAUSE_SECONDS: Final = 0.05

_log = logging.getLogger(__name__)


class Answer(dict[str, Any]):
    """What was answered. What it lacks is told as such, and never as a KeyError."""

    def __init__(self, asked: str, told: Mapping[str, Any]) -> None:
        super().__init__({key: _answer(asked, value) for key, value in told.items()})
        self._asked = asked

    def __missing__(self, key: str) -> Any:
        lacking = f"{self._asked}: the answer has no {key!r}"
        if self._asked.startswith(_READS):
            raise errors.CloudError(lacking)
        raise AnswerLost(f"{lacking}; it may have been done")


def _answer(asked: str, told: Any) -> Any:
    """The same as deep as it goes."""
    if isinstance(told, list):
        return [_answer(asked, item) for item in told]
    return Answer(asked, told) if isinstance(told, Mapping) else told


class Client:
    """One set of credentials. Any number of threads may call it."""

    def __init__(self, settings: CloudStackSettings, folder: Path) -> None:
        self._settings = settings
        self._usual = Usual("cloudstack", settings.cache_folder)
        self._folder = folder
        self._secrets = frozenset({settings.secret_access_key.reveal(), settings.api_key})
        self._local = threading.local()
        self._connections: list[_Connection] = []

    @property
    def folder(self) -> Path:
        """Where caches and locks lie."""
        return self._folder

    def close(self) -> None:
        """Let go of connections."""
        for connection in self._connections:
            connection.close()

    # ------------------------------------------------------------------ calls

    def call(self, command: str, *, idempotent: bool = False, **parameters: Any) -> Document:
        """What is answered; idempotent: the same call once more changes nothing, so it may be repeated when no answer came.

        Raises Refused and its kinds for what the cloud will not do; AnswerLost if it may have been done; CpiError for
        credentials; CloudError for what went on failing.
        """
        refuse_late(command)
        sent = flat({"command": command, **parameters})
        safe = idempotent or command.startswith(_READS)
        return repeated(
            lambda: self._once(command, sent, safe=safe),
            on=Passing,
            attempts=self._settings.max_attempts,
            first_pause_seconds=min(_FIRST_PAUSE_SECONDS, self._settings.retry_interval),
            longest_pause_seconds=self._settings.retry_interval,
            at_least=lambda error: getattr(error, "after_seconds", 0.0),
        )

    def pages(self, command: str, key: str, **parameters: Any) -> Iterator[Document]:
        """Everything in a list, page by page."""
        number, seen = 1, 0
        while True:
            answer = self.call(command, page=number, pagesize=_PAGE, **parameters)
            found = answer.get(key, [])
            yield from found
            seen += len(found)
            if len(found) < _PAGE or seen >= answer.get("count", seen):
                return
            number += 1

    def run(self, command: str, what: str, timeout: str, *, idempotent: bool = False, **parameters: Any) -> Document:
        """A call that begins a job, and the job's result."""
        return self.result(str(self.call(command, idempotent=idempotent, **parameters)["jobid"]), what, timeout)

    def result(self, job_id: str, what: str, timeout: str) -> Document:
        """What a job made. Raises Refused with the job's own text if it failed, Overdue if it does not end in time."""
        strays: list[errors.Error] = []

        def look() -> Document | None:
            try:
                told = self.call("queryAsyncJobResult", jobid=job_id)
            except NotLetIn as error:
                # The keys began the job: a single refusal says nothing of them, and the job goes on.
                if strays:
                    raise
                strays.append(error)
                _log.warning("%s: the look at its job is repeated: %s", what, error)
                return None
            strays.clear()
            return None if told.get("jobstatus", _PENDING) == _PENDING else told

        told = self.until(what, timeout, look)
        made: Document = _answer(what, told.get("jobresult") or {})
        if told["jobstatus"] == _FAILED:
            raise refusal(what, int(made.get("errorcode", 530)), str(made.get("errortext", "the job failed and says nothing")))
        return made

    def until(self, what: str, timeout: str, look: "Look") -> Document:
        """The first answer of look that is not None."""
        return wait_until(
            look,
            what,
            deadline_seconds=self._settings.seconds(timeout),
            first_pause_seconds=min(_FIRST_PAUSE_SECONDS, self._settings.poll_interval),
            longest_pause_seconds=self._settings.poll_interval,
            usual=self._usual,
        )

    def post_file(self, url: str, headers: Mapping[str, str], body: "Body") -> None:
        """A file to where the cloud wants it, streamed, once."""
        settings = self._settings
        proxies = {"http": settings.proxy_url, "https": settings.proxy_url} if settings.proxy_url else None
        try:
            answer = requests.post(
                url,
                data=body,
                headers=dict(headers),
                verify=self._trusted(),
                timeout=(settings.connect_timeout, settings.read_timeout),
                proxies=proxies,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise AnswerLost(f"the upload to {url} broke off: {error}") from error
        if answer.status_code >= 300:  # noqa: PLR2004 - what is not a success
            raise errors.CloudError(
                f"the upload to {url} was refused: {answer.status_code} {scrubbed(answer.text, self._secrets)[:300]}"
            )

    # ------------------------------------------------------------------ one attempt

    def _once(self, command: str, parameters: Mapping[str, str], *, safe: bool) -> Document:
        began = time.monotonic()
        connection = self._connection()
        try:
            answer = connection.ask(parameters)
        except OSError as error:  # requests' exceptions are OSErrors
            connection.close()
            raise self._unanswered(command, error, safe=safe) from error
        _log.debug("%s: %s in %.2f s", command, answer.status, time.monotonic() - began)
        return _document(command, answer, self._secrets, safe=safe)

    def _unanswered(self, command: str, error: OSError, *, safe: bool) -> errors.Error:
        text = scrubbed(f"{type(error).__name__}: {error}", self._secrets)
        if _DISTRUST in text:
            return errors.CloudError(f"{command}: the certificate is not trusted (see ca_cert): {text}")
        if safe or _never_sent(error):
            return Passing(f"{command}: {text}")
        return AnswerLost(f"{command}: no answer came, it may have been done: {text}")

    def _connection(self) -> "_Connection":
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _Connection(self._settings, self._trusted())
            self._connections.append(connection)
        return connection

    def _trusted(self) -> bool | str:
        settings = self._settings
        if not settings.verifies or settings.ca_cert is None:
            return settings.verifies
        if "-----BEGIN" not in settings.ca_cert:
            return settings.ca_cert
        return private_files.certificates(self._folder, settings.ca_cert)


class Look(Protocol):
    """A look at something that is waited for."""

    def __call__(self) -> Document | None:
        """None as long as it has to be waited for."""


class Body(Protocol):
    """What can be sent as a stream."""

    def __len__(self) -> int:
        """How many bytes it has."""

    def read(self, size: int = -1, /) -> bytes:
        """The next of them."""


class _AsItCame(Response):
    """libcloud's answer, of whatever status: codes and texts are read here."""

    def success(self) -> bool:
        """No exception of libcloud's, please."""
        return True


class _Connection(CloudStackConnection):
    """libcloud's connection with signatures that hold, and TLS as the configuration says."""

    responseCls = _AsItCame  # type: ignore[assignment]  # noqa: N815 - libcloud's name, and its other kind of answer

    def __init__(self, settings: CloudStackSettings, trusted: bool | str) -> None:  # noqa: FBT001 - as requests has it
        url = urlsplit(settings.endpoint)
        secure = url.scheme == "https"
        super().__init__(  # type: ignore[no-untyped-call]  # libcloud is typed in parts
            settings.api_key,
            settings.secret_access_key.reveal(),
            secure=secure,
            host=url.hostname,
            port=url.port or (443 if secure else 80),
            timeout=(settings.connect_timeout, settings.read_timeout),
            proxy_url=settings.proxy_url,
        )
        self._path = url.path or "/"
        self._proxy = settings.proxy_url
        self._trusted = trusted

    def ask(self, parameters: Mapping[str, str]) -> _AsItCame:
        """All in the body: a query is written into logs, and is too short for user data."""
        expires = dt.datetime.now(dt.UTC) + _SIGNED_FOR
        whole = {
            **parameters,
            "apiKey": str(self.user_id),
            "response": "json",
            "signatureVersion": "3",
            "expires": expires.strftime("%Y-%m-%dT%H:%M:%S+0000"),
        }
        whole["signature"] = signature(whole, str(self.key))
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        asked = {"data": whole, "headers": form, "method": "POST", "retry_failed": False}
        answer: _AsItCame = self.request(self._path, **asked)  # type: ignore[no-untyped-call]  # as above
        return answer

    def connect(self, *arguments: Any, **more: Any) -> None:
        """libcloud knows one way to trust for all connections of a process."""
        super().connect(*arguments, **more)  # type: ignore[no-untyped-call]  # as above
        connection: Any = self.connection
        connection.session.get_redirect_target = lambda _answer: None  # whoever it leads to would get the key and the signed call
        connection.session.trust_env = False  # the environment was read, by one rule for all clouds
        if self._proxy is None:
            connection.session.proxies = {}
        connection.verify = self._trusted is not False
        connection.ca_cert = self._trusted if isinstance(self._trusted, str) else None

    def close(self) -> None:
        """The next call opens another one."""
        connection: Any = self.connection
        self.connection = None
        if connection is not None:
            connection.session.close()

    def add_default_params(self, params: Any) -> Any:
        """They are there."""
        return params

    def pre_connect_hook(self, params: Any, headers: Any) -> Any:
        """It is signed."""
        return params, headers


def signature(parameters: Mapping[str, str], secret: str) -> str:
    """Over all parameters: names as they are, values as the server's URLEncoder writes them."""
    pairs = [f"{name}={quote(parameters[name], safe='*').replace('~', '%7E')}" for name in sorted(parameters)]
    digest = hmac.new(secret.encode(), "&".join(pairs).lower().encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def flat(parameters: Mapping[str, Any]) -> dict[str, str]:
    """As the API takes them: lists by comma, maps as name[0].key, booleans in small letters; what is None is not said."""
    said: dict[str, str] = {}
    for name, value in parameters.items():
        if isinstance(value, bool):
            said[name] = str(value).lower()
        elif isinstance(value, str | int):
            said[name] = str(value)
        elif isinstance(value, Iterable):
            said.update(_flat_list(name, list(value)))
    return said


def _flat_list(name: str, items: list[Any]) -> dict[str, str]:
    if not items or not isinstance(items[0], Mapping):
        return {name: ",".join(map(str, items))} if items else {}
    return {f"{name}[{index}].{key}": str(value) for index, item in enumerate(items) for key, value in item.items()}


def _document(command: str, answer: _AsItCame, secrets: frozenset[str], *, safe: bool) -> Document:
    status, body = int(answer.status), str(answer.body or "")
    if status in _REDIRECTS:
        place = scrubbed(str(answer.headers.get("location", "?")), secrets)
        raise errors.CpiError(f"{command}: {status}, a redirect to {place}: not followed, since the call is signed; see endpoint")
    try:
        document = _answer(command, json.loads(body))
        inner: Document = next(iter(document.values()))
        code = int(inner.get("errorcode", status))
    except (ValueError, AttributeError, StopIteration, TypeError):
        raise _unreadable(command, status, scrubbed(body, secrets), safe=safe) from None
    if status == _OK and "errorcode" not in inner:
        return inner
    error = refusal(command, code, scrubbed(str(inner.get("errortext", "")), secrets))
    raise Passing(error.message) if isinstance(error, Failed) and safe else error


def _unreadable(command: str, status: int, body: str, *, safe: bool) -> errors.Error:
    text = f"{command}: {status}, and no answer of CloudStack's: {' '.join(body.split())[:200]!r}"
    if status in _NOT_DONE or (safe and (status >= 500 or status == _OK)):  # noqa: PLR2004 - a fault of the server's
        return Passing(text)
    if status >= 500 or status == _OK:  # noqa: PLR2004 - as above
        return AnswerLost(f"{text}; it may have been done")
    return errors.CpiError(f"{text}; is endpoint right?")


def _never_sent(error: OSError) -> bool:
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.exceptions.ConnectTimeout) or isinstance(reason, NewConnectionError | ConnectTimeoutError)
