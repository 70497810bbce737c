"""The API itself: the only file that imports the SDK."""

import base64
import functools
import hashlib
import http.client
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import google.auth
import google.auth.credentials
import google.auth.exceptions
import google_auth_httplib2
import googleapiclient.discovery
import googleapiclient.errors
import googleapiclient.http
import httplib2

from cpi.contract import errors as contract_errors
from cpi.kit.recent import once_known
from cpi.kit.waiting import wait_until
from cpi_drivers.google.api import connection, errors
from cpi_drivers.google.api.operations import METHODS
from cpi_drivers.google.api.session import Line, Proxy
from cpi_drivers.google.api.visibility import Visibility
from cpi_drivers.google.settings import GoogleSettings

_log = logging.getLogger(__name__)

# The SDK logs requests and tokens at its lowest level, and refusals, unscrubbed, as warnings: our errors tell them.
for _name in ("googleapiclient", "google.auth", "google_auth_httplib2"):
    logging.getLogger(_name).setLevel(logging.ERROR)

Item = dict[str, Any]

SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
READ_SECONDS: Final = 150  # the wait verb answers within two minutes
THROTTLED_SECONDS: Final = 600.0
OPERATION_SECONDS: Final = 1800.0
_UNKNOWN_OPERATIONS: Final = 30  # some 50 s
_CHUNK: Final = 8 * 1024 * 1024
_WITHOUT_END: Final = 1_000_000
_RESUME: Final = 308
_AGENT: Final = "multicpi"

_NOT_SENT = (ConnectionRefusedError, httplib2.ServerNotFoundError)
_NO_ANSWER = (OSError, httplib2.HttpLib2Error, http.client.HTTPException, googleapiclient.errors.Error, ValueError)


class Client:
    """Calls by name, repeated where that is safe; answers as plain documents, faults as errors of the contract."""

    def __init__(self, settings: GoogleSettings, callers: Any = None) -> None:
        """With credentials of google.auth that the caller has, or None."""
        self._settings, self._callers = settings, callers
        self._lock = threading.Lock()
        self._services: dict[str, Any] = {}
        self._here = threading.local()
        self._lines: list[Any] = []
        self._credentials: Any = None
        self._ca_bundle = connection.ca_bundle(settings)
        self._visibility = Visibility(settings.project)

    def call(self, method: str, body: Item | None = None, **parameters: Any) -> Item:
        """One call: `disks.get`. Raises the contract's errors; throttling and passing faults only once they last.

        A call that changes something carries a request id, so that Google itself makes a repeat harmless.
        What was made within the last minute is waited for where Google does not know it yet.
        """
        name, arguments = self._prepared(method, body, parameters)
        early = functools.partial(self._visibility.seconds_left, name, arguments)
        answer: Item = once_known(lambda: self._called(name, arguments), early, method)
        self._visibility.note_ending(name, arguments)
        return answer

    def do(
        self, method: str, body: Item | None = None, *, deadline_seconds: float = OPERATION_SECONDS, **parameters: Any
    ) -> Item:
        """A call that begins an operation, and the operation's end. Raises what the operation failed with."""
        ended = self.finished(method, self.call(method, body, **parameters), deadline_seconds=deadline_seconds)
        self._visibility.note_snapshot(method, body or {})
        return ended

    def finished(self, method: str, operation: Item, *, deadline_seconds: float = OPERATION_SECONDS) -> Item:
        """The operation once it is done, waited for by the wait verb. Raises what it failed with."""
        told, unknown = operation, 0

        def done() -> Item | None:
            nonlocal told, unknown
            try:
                if told["status"] != "DONE":
                    told = self._waited(told)
            except errors.Missing:
                unknown += 1  # the operation that has just begun is not known everywhere yet
                if unknown > _UNKNOWN_OPERATIONS:
                    raise
            return told if told["status"] == "DONE" else None

        ended = wait_until(done, f"Google's {method} does not end", deadline_seconds=deadline_seconds)
        if ended.get("error"):
            raise errors.failed(method, ended)
        self._visibility.note_made(method, ended)
        return ended

    def pages(self, method: str, **parameters: Any) -> Iterator[Item]:
        """The same call for every page of its answer."""
        while True:
            answer = self.call(method, **parameters)
            yield answer
            if not answer.get("nextPageToken"):
                return
            parameters["pageToken"] = answer["nextPageToken"]

    def upload(self, bucket: str, name: str, path: str, told: Callable[[float], None]) -> None:
        """A file as an object, in chunks, each of which may be repeated; told is called with the share that has arrived."""
        media = _ChunkedFile(path, mimetype="application/gzip", chunksize=_CHUNK, resumable=True)
        request = self._service("storage").objects().insert(bucket=bucket, name=name, media_body=media)
        done = None
        while done is None:
            chunk = functools.partial(self._guarded, "storage.objects.insert", lambda line: request.next_chunk(http=line))
            try:
                progress, done = chunk()
            except (errors.Throttled, errors.Unreached, errors.AnswerLost) as first:
                progress, done = self._repeated(chunk, first)
            if progress:
                told(progress.progress())
        _check_arrived(name, path, done)

    def who(self) -> str:
        """Who calls, as far as the credentials tell."""
        credentials = self._authorised()
        return str(getattr(credentials, "service_account_email", None) or "the application default credentials")

    def close(self) -> None:
        """Let go of connections."""
        with self._lock:
            lines, self._lines = self._lines, []
            self._services.clear()
            self._here = threading.local()
        for line in lines:
            line.close()

    # ------------------------------------------------------------------ one attempt, and more

    def _prepared(self, method: str, body: Item | None, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        name = method if method in METHODS else f"compute.{method}"
        if name not in METHODS:
            raise contract_errors.CpiError(f"the table of calls has no {method}")
        arguments = {**parameters, **({"body": body} if body is not None else {})}
        if name.startswith("compute."):
            arguments.setdefault("project", self._settings.project)
            if _begins_operation(name):
                arguments.setdefault("requestId", str(uuid.uuid4()))
        return name, arguments

    def _called(self, name: str, arguments: dict[str, Any]) -> Item:
        attempt = functools.partial(self._attempt, name, arguments)
        try:
            return attempt()
        except (errors.Throttled, errors.Unreached, errors.AnswerLost) as first:
            unclear = isinstance(first, errors.AnswerLost)
            try:
                answer: Item = self._repeated(attempt, first)
            except errors.Refused as refusal:
                refusal.after_lost_answer = unclear
                raise
            return answer

    def _waited(self, told: Item) -> Item:
        scope = next((kind for kind in ("zone", "region") if kind in told), "global")
        wanted: dict[str, Any] = {"operation": told["name"]}
        if scope != "global":
            wanted[scope] = told[scope].rpartition("/")[2]
        return self.call(f"{scope}Operations.wait", **wanted)

    def _attempt(self, name: str, arguments: dict[str, Any]) -> Item:
        api, resource, method = name.split(".")
        request = getattr(getattr(self._service(api), resource)(), method)(**arguments)
        answer = self._guarded(name, lambda line: request.execute(http=line))
        return answer if isinstance(answer, dict) else {}

    def _guarded(self, name: str, send: Callable[[Any], Any]) -> Any:
        """What send answers, its faults as errors of the contract."""
        began = time.monotonic()
        try:
            answer = send(self._line())
        except googleapiclient.errors.HttpError as error:
            raise _refusal(name, error) from error
        except google.auth.exceptions.TransportError as error:
            raise errors.unreached(name, error) from error
        except google.auth.exceptions.GoogleAuthError as error:
            raise errors.denied(error, self._source) from error
        except httplib2.socks.ProxyError as error:
            self._hang_up()
            raise errors.stopped_by_proxy(name, error) from error
        except _NOT_SENT as error:
            self._hang_up()
            raise errors.unreached(name, error) from error
        except _NO_ANSWER as error:
            self._hang_up()
            raise errors.answer_lost(name, f"{type(error).__name__} {error}".strip()) from error
        _log.debug("%s took %.3f s", name, time.monotonic() - began)
        return answer

    def _repeated(self, attempt: Callable[[], Any], first: errors.Refused) -> Any:
        from cpi.kit.retrying import repeated  # imported late: most calls succeed at once

        failed = [first]
        _log.info("repeating: %s", first.message)

        def again() -> Any:
            if failed:
                raise failed.pop()
            return attempt()

        def patiently() -> Any:
            return repeated(again, on=(errors.Unreached, errors.AnswerLost), attempts=1 + self._settings.max_retries)

        return repeated(patiently, on=errors.Throttled, attempts=_WITHOUT_END, deadline_seconds=THROTTLED_SECONDS)

    # ------------------------------------------------------------------ the SDK

    def _service(self, api: str) -> Any:
        with self._lock:
            if api not in self._services:
                described = connection.document(api)
                base = connection.base_url(self._settings, api, described)
                service = {**described, "rootUrl": base.removesuffix(described["servicePath"])}
                self._services[api] = googleapiclient.discovery.build_from_document(
                    service, http=self._new_http(), client_options={"api_endpoint": base}
                )
            return self._services[api]

    def _line(self) -> Any:
        """The connection of this thread: those of the SDK are no good to two threads at once."""
        line = getattr(self._here, "line", None)
        if line is None:
            line = self._here.line = Line(self._new_http(), self._authorised(), self._lock, self._user_agent())
            with self._lock:
                self._lines.append(line)
        return line

    def _hang_up(self) -> None:
        """A connection that broke is not used again."""
        line = getattr(self._here, "line", None)
        if line is not None:
            line.close()

    def _new_http(self) -> Any:
        settings = self._settings
        proxies = functools.partial(Proxy, settings)
        made = httplib2.Http(timeout=READ_SECONDS, ca_certs=self._ca_bundle, proxy_info=proxies)
        made.redirect_codes = made.redirect_codes - {_RESUME}
        return made

    def _user_agent(self) -> str:
        return " ".join(part for part in (self._settings.user_agent_prefix, _AGENT) if part)

    def _authorised(self) -> Any:
        with self._lock:
            if self._credentials is None:
                try:
                    self._credentials = self._new_credentials()
                except (google.auth.exceptions.GoogleAuthError, ValueError) as error:
                    raise errors.denied(error, self._source) from error
            return self._credentials

    @property
    def _source(self) -> errors.Source:
        """Where the credentials are from."""
        return "session" if self._callers is not None else "json_key" if self._settings.key else "environment"

    def _new_credentials(self) -> Any:
        found = self._own_credentials()
        if not self._settings.impersonate_service_account:
            return found
        from google.auth import impersonated_credentials

        target = self._settings.impersonate_service_account
        root = self._settings.endpoints.iamcredentials
        way = f"{root}/v1/projects/-/serviceAccounts/{target}:generateAccessToken" if root else None
        return impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]  # the SDK has no types
            source_credentials=found, target_principal=target, target_scopes=list(SCOPES), iam_endpoint_override=way
        )

    def _own_credentials(self) -> Any:
        if self._callers is not None:
            return google.auth.credentials.with_scopes_if_required(self._callers, SCOPES)  # type: ignore[no-untyped-call]  # the SDK has no types
        key = self._settings.key
        if key and key.get("type", "service_account") == "service_account":
            from google.oauth2 import service_account

            made = service_account.Credentials.from_service_account_info(key, scopes=SCOPES)  # type: ignore[no-untyped-call]  # as above
            # Signed here, without asking Google for a token first.
            return made if self._settings.impersonate_service_account else made.with_always_use_jwt_access(True)  # noqa: FBT003 - the SDK's own
        asking = self._new_http()
        self._lines.append(asking)
        request = google_auth_httplib2.Request(asking)
        if key:
            return google.auth.load_credentials_from_dict(key, scopes=SCOPES, request=request)[0]  # type: ignore[no-untyped-call]  # as above
        # The SDK reads the metadata server's address from the environment, once.
        os.environ.setdefault("GCE_METADATA_HOST", connection.METADATA_ADDRESS)
        return google.auth.default(scopes=SCOPES, request=request)[0]


class _ChunkedFile(googleapiclient.http.MediaFileUpload):  # type: ignore[misc]  # the SDK has no types
    """A file whose chunks are read before they are sent: a stream that broke off would be sent again from where it is."""

    def has_stream(self) -> bool:
        return False


def _check_arrived(name: str, path: str, stored: Item) -> None:
    """A CloudError unless the object is the file."""
    sent, arrived = Path(path).stat().st_size, int(stored.get("size", -1))
    if arrived != sent:
        raise contract_errors.CloudError(f"of {name} {arrived} of {sent} bytes arrived in Cloud Storage; upload it again")
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
    if stored.get("md5Hash") not in (None, base64.b64encode(digest).decode()):
        raise contract_errors.CloudError(f"{name} arrived damaged in Cloud Storage: its MD5 is not the file's; upload it again")


_READS = ("get", "list", "aggregatedList", "getFromFamily", "wait", "testIamPermissions")


def _begins_operation(name: str) -> bool:
    return name.rpartition(".")[2] not in _READS


def _refusal(name: str, error: googleapiclient.errors.HttpError) -> errors.Refused:
    status = int(error.resp.status)
    try:
        told = json.loads(error.content)["error"]
    except (ValueError, KeyError, TypeError):
        return errors.refusal(name, status, "", f"HTTP {status} {getattr(error.resp, 'reason', '')}")
    if not isinstance(told, dict):
        return errors.refusal(name, status, str(told), str(told))
    reasons = [str(one.get("reason", "")) for one in told.get("errors", []) if isinstance(one, dict)]
    return errors.refusal(name, status, next(iter(reasons), str(told.get("status", ""))), str(told.get("message", "")))
