"""Bytes to requests and responses, and back. Pure, and light: `info` is answered with nothing heavier than this."""

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from cpi.config import refuse_half_characters
from cpi.contract import errors


class Request(NamedTuple):
    """One call, its envelope checked and nothing else."""

    method: str
    arguments: list[Any]
    context: dict[str, Any]
    api_version: int | None


class Failure(NamedTuple):
    """The `error` of a response."""

    type: str
    message: str
    ok_to_retry: bool


class Response(NamedTuple):
    """One answer."""

    result: Any
    error: Failure | None
    log: str


_DEEPEST: Final = 100
_MOST_VALUES: Final = 50_000
_KINDS: Final = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def kind_of(value: Any) -> str:
    """What a JSON value is, without showing it: it may be a secret."""
    return "null" if value is None else _KINDS.get(type(value), type(value).__name__)


def parse_request(data: bytes) -> Request:
    """Raises CpiError that lists every fault of the envelope."""
    document = _parse_object(data, "the request")
    refuse_half_characters(document, "the request")
    context = {} if document.get("context") is None else document["context"]
    version = document.get("api_version")
    faults = [
        _unless(isinstance(document.get("method"), str), "method", "a string", document),
        _unless(isinstance(document.get("arguments"), list), "arguments", "an array", document),
        _unless(isinstance(context, dict), "context", "an object", document),
        _unless(version is None or type(version) is int, "api_version", "a whole number", document),
    ]
    if any(faults):
        raise errors.CpiError("the request has faults:\n" + "\n".join(f"  {fault}" for fault in faults if fault))
    return Request(document["method"], document["arguments"], context, version)


def parse_response(data: bytes) -> Response:
    """As strict as the director: all three keys, their types, all three keys of an error. Raises CpiError."""
    document = _parse_object(data, "the response")
    error = document.get("error")
    faults = [
        *(f"{key}: is missing" for key in ("result", "error", "log") if key not in document),
        _unless("log" not in document or isinstance(document["log"], str), "log", "a string", document),
        _unless(error is None or isinstance(error, dict), "error", "null or an object", document),
    ]
    if isinstance(error, dict):
        faults += [
            _unless(isinstance(error.get("type"), str), "error.type", "a string", error),
            _unless(isinstance(error.get("message"), str), "error.message", "a string", error),
            _unless(isinstance(error.get("ok_to_retry"), bool), "error.ok_to_retry", "true or false", error),
        ]
    if any(faults):
        raise errors.CpiError("; ".join(fault for fault in faults if fault))
    failure = Failure(error["type"], error["message"], error["ok_to_retry"]) if error is not None else None
    return Response(document["result"], failure, document["log"])


def encode_request(request: Request) -> bytes:
    """One JSON document; api_version is left out where it is None, as in a director's first `info`."""
    document = request._asdict()
    if request.api_version is None:
        del document["api_version"]
    return _encode(document)


def encode_response(response: Response) -> bytes:
    """One JSON document, whatever the response holds: a result that is no JSON becomes a CloudError."""
    try:
        return _encode_response(response)
    except (TypeError, ValueError, RecursionError) as error:
        message = f"the answer cannot be written as JSON: {error}"
        failure = Failure(errors.CloudError.wire_name, message, ok_to_retry=False)
        return _encode_response(Response(None, failure, response.log))


def failure_of(error: errors.Error) -> Failure:
    """An error of the contract as it goes over the wire."""
    return Failure(error.wire_name, error.message, error.ok_to_retry)


def _encode_response(response: Response) -> bytes:
    failure = response.error._asdict() if response.error else None
    return _encode({"result": response.result, "error": failure, "log": response.log})


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, allow_nan=False, ensure_ascii=False).encode("utf-8", "replace")


def _parse_object(data: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(data.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise errors.CpiError(f"{what} is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise errors.CpiError(f"{what} is nested too deeply") from None
    except ValueError as error:
        reason = f"{error}" if data.strip() else "it is empty"
        raise errors.CpiError(f"{what} is not one JSON document: {reason}") from None
    if not isinstance(document, dict):
        raise errors.CpiError(f"{what}: expected an object, got {kind_of(document)}")
    _see_that_it_is_small(document, what)
    return document


def _see_that_it_is_small(document: Any, what: str) -> None:
    """Raises CpiError if it is nested too deeply or holds too many values: each of them costs time and memory again and again."""
    level, count = [document], 0
    for _ in range(_DEEPEST):
        containers = [item for item in level if isinstance(item, dict | list)]
        count += sum(map(len, containers))
        if count > _MOST_VALUES:
            raise errors.CpiError(f"{what} contains more than {_MOST_VALUES} values")
        level = [child for item in containers for child in _children(item)]
        if not level:
            return
    raise errors.CpiError(f"{what} is nested too deeply")


def _children(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _unless(good: bool, path: str, expected: str, holder: dict[str, Any]) -> str:  # noqa: FBT001 - reads as a sentence
    key = path.rpartition(".")[2]
    if good:
        return ""
    return f"{path}: expected {expected}, got {kind_of(holder[key]) if key in holder else 'nothing'}"
