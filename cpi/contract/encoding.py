"""Converts the contract's values to plain JSON types and back: the only place that teaches msgspec our string types."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from cpi.contract.ids import Cid

T = TypeVar("T")

_settled: set[object] = set()
_settling = threading.Lock()

_KINDS = {str: "an empty one", dict: "`object`", list: "`array`", type(None): "`null`"}


def _plain(value: object) -> object:
    if isinstance(value, Cid):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} is not a type of the contract")


def _typed(wanted: type, value: Any) -> object:
    if not issubclass(wanted, Cid):
        raise NotImplementedError(f"{wanted.__name__} is not a type of the contract")
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"Expected a non-empty `str`, got {_KINDS.get(type(value), f'`{type(value).__name__}`')}")
    return wanted(value)


def to_plain(value: object) -> Any:
    """value as dicts, lists, strings and numbers."""
    return _with_lists(msgspec.to_builtins(value, enc_hook=_plain))


def _with_lists(value: Any) -> Any:
    """JSON has no tuples: a value must be equal before and after it was written and read."""
    if isinstance(value, dict):
        return {key: _with_lists(item) for key, item in value.items()}
    return [_with_lists(item) for item in value] if isinstance(value, list | tuple) else value


def from_plain(value: object, wanted: type[T], hook: Callable[[type, Any], object] = _typed, *, strict: bool = True) -> T:
    """Raises msgspec.ValidationError with the path if value does not fit. hook reads types that msgspec does not know.

    If not strict, numbers and booleans may be in quotes.
    """
    _settle(wanted)
    return msgspec.convert(value, wanted, dec_hook=hook, strict=strict)  # noqa: TID251 - the one place


def from_json(content: bytes | str, wanted: type[T]) -> T:
    """The same for a JSON document. Raises msgspec.DecodeError if it is not JSON."""
    _settle(wanted)
    return msgspec.json.decode(content, type=wanted, dec_hook=_typed)  # noqa: TID251 - the one place


def _settle(wanted: object) -> None:
    """msgspec caches a type's description at its first use; two threads that do this at once crash the process."""
    if wanted in _settled:
        return
    with _settling:
        msgspec.json.Decoder(wanted)  # noqa: TID251 - the one place
        _settled.add(wanted)


def to_json(value: object) -> bytes:
    """One JSON document, UTF-8."""
    return msgspec.json.encode(value, enc_hook=_plain)
