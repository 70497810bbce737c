"""Calling an executable as one of the two programs that do: the director, or the command line's create-env."""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from cpi.contract import errors
from cpi.contract.encoding import from_plain
from cpi.contract.model import CallContext, Info
from cpi.contract.request import request_id
from cpi.kit import redaction
from cpi.rpc import child, versions
from cpi.rpc.messages import Failure, Request, Response, encode_request, parse_response

Caller: TypeAlias = Literal["director", "cli"]
"""The director wipes the environment, passes over the exit status and speaks up to api_version 3; the command line hands its
environment on, takes an exit status other than 0 for a failure whatever was answered, and speaks up to api_version 2."""

_DIRECTORS_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
_NEWEST_SPOKEN: Final[Mapping[Caller, int]] = {"director": versions.NEWEST, "cli": 2}
_OLDEST_SPOKEN: Final = 2
_SHOWN: Final = 500
_RETRIABLE: Final = (errors.NoDiskSpace, errors.DiskNotAttached, errors.DiskNotFound, errors.VMCreationFailed)


class CallRecord(NamedTuple):
    """One call as it went, for whoever keeps the log."""

    method: str
    seconds: float
    log: str
    stderr: str
    error: errors.Error | None


OnCall: TypeAlias = Callable[[CallRecord], None]


def ignore_call(_record: CallRecord) -> None:
    """The log is not kept."""


class Executable:
    """A CPI executable and how it is called; any number of threads may call."""

    def __init__(
        self,
        command: tuple[str, ...],
        context: CallContext,
        caller: Caller,
        *,
        deadline_seconds: float,
        grace_seconds: float,
        on_call: OnCall,
        start: child.Start,
    ) -> None:
        self._start = start
        self._command = command
        self._context = context
        self._caller = caller
        self._deadline_seconds = deadline_seconds
        self._grace_seconds = grace_seconds
        self._on_call = on_call
        self._version: int | None = None
        self._negotiating = threading.Lock()

    def info(self) -> Info:
        """What the executable says of itself."""
        result = self._exchange("info", [], None if self._caller == "director" else 1, None)
        if isinstance(result, dict) and "api_version" not in result:
            raise errors.NotSupported(f"{self._command[0]} does not say which api_version it speaks")
        try:
            return from_plain({"stemcell_formats": [], **result} if isinstance(result, dict) else result, Info)
        except msgspec.ValidationError as error:
            raise self.nonsense("info", result, str(error)) from error

    def call(self, method: str, *arguments: object, token: str | None = None) -> Any:
        """The result as it came. Raises the error that came; CpiError for what is no response, CloudError past the deadline."""
        version = self._negotiated()
        return self._exchange(method, versions.arguments_to_wire(method, arguments, version), version, token)

    def nonsense(self, method: str, result: object, reason: str) -> errors.CpiError:
        """The error for a result that the director could not use."""
        return self._invalid(method, reason, json.dumps(redaction.masked(result)))

    def _negotiated(self) -> int:
        with self._negotiating:
            if self._version is None:
                self._version = self._negotiate()
            return self._version

    def _negotiate(self) -> int:
        try:
            reported = self.info().api_version
        except errors.NotImplemented as error:
            raise errors.NotSupported(f"{self._command[0]} has no method info, so it speaks api_version 1 at most") from error
        if reported < _OLDEST_SPOKEN:
            raise errors.NotSupported(f"{self._command[0]} speaks api_version {reported}; at least {_OLDEST_SPOKEN} is required")
        return min(reported, _NEWEST_SPOKEN[self._caller])

    def _exchange(self, method: str, arguments: list[Any], version: int | None, token: str | None) -> Any:
        request = Request(method, arguments, self._wire_context(token), version)
        secrets = redaction.spellings(redaction.secrets_in([request.arguments, request.context]))
        began = time.monotonic()
        outcome = self._run(request)
        response = self._judged(method, outcome, secrets)
        if isinstance(response, Response):
            log, error = response.log, response.error and _error_of(response.error, secrets)
        else:
            log, error = "", response
        seconds = time.monotonic() - began
        self._on_call(CallRecord(method, seconds, redaction.scrubbed(log, secrets), _shown(outcome.stderr, secrets), error))
        if error is not None:
            raise error
        return response.result if isinstance(response, Response) else None

    def _wire_context(self, token: str | None) -> dict[str, Any]:
        context = self._context
        stemcell = context.stemcell_api_version
        own = {"director_uuid": context.director_uuid, "request_id": request_id(context), "token": token or context.token}
        return {
            **{key: value for key, value in own.items() if value},
            **({"vm": {"stemcell": {"api_version": stemcell}}} if stemcell is not None else {}),
            **context.properties,
        }

    def _run(self, request: Request) -> child.Outcome:
        environment = _directors_environment() if self._caller == "director" else None
        limits = {"deadline_seconds": self._deadline_seconds, "grace_seconds": self._grace_seconds}
        try:
            return child.run(self._command, encode_request(request), environment, **limits, start=self._start)
        except OSError as error:
            raise errors.CpiError(f"cannot start {self._command[0]}: {error.strerror}") from error

    def _judged(self, method: str, outcome: child.Outcome, secrets: frozenset[str]) -> Response | errors.Error:
        told = _shown(outcome.stdout[:_SHOWN], secrets) or _shown(outcome.stderr[-_SHOWN:], secrets)
        if outcome.ended == "late":
            limit = f"{self._deadline_seconds:g} s"
            return errors.CloudError(
                f"{self._command[0]} did not end {method} and close its output within {limit}, so it was stopped: {told!r}"
            )
        if outcome.ended == "too loud":
            return self._invalid(method, "it is too long", told)
        if self._caller == "cli" and outcome.exit_status != 0:
            return errors.CloudError(f"{self._command[0]} ended {method} with exit status {outcome.exit_status}: {told!r}")
        try:
            return parse_response(outcome.stdout)
        except errors.CpiError as error:
            return self._invalid(method, error.message, told)

    def _invalid(self, method: str, reason: str, told: str) -> errors.CpiError:
        return errors.CpiError(f"{self._command[0]} gave an invalid response to {method}: {reason}; it began: {told[:_SHOWN]!r}")


def _directors_environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("TMPDIR", "HOME") if name in os.environ}
    return {"PATH": _DIRECTORS_PATH, **kept}


def _error_of(failure: Failure, secrets: frozenset[str]) -> errors.Error:
    message = redaction.scrubbed(failure.message, secrets)
    if _tells_an_unknown_method(failure):
        return errors.NotImplemented(message)
    kind = errors.BY_WIRE_NAME.get(failure.type)
    if kind is None:
        return errors.CloudError(f"{failure.type}: {message}")
    error = kind(message)
    error.ok_to_retry = failure.ok_to_retry and issubclass(kind, _RETRIABLE)
    return error


def _tells_an_unknown_method(failure: Failure) -> bool:
    """The two older spellings, which the director knows as well."""
    return (failure.type == "InvalidCall" and failure.message.startswith("Method is not known, got")) or (
        failure.type == errors.CloudError.wire_name and failure.message.startswith("Invalid Method:")
    )


def _shown(output: bytes, secrets: frozenset[str]) -> str:
    return redaction.scrubbed(output.decode("utf-8", "replace"), secrets)
