"""From a document to a frozen struct, with every fault of it in one error and its secrets wrapped.

A driver declares its settings as a msgspec.Struct; a field of type Secret hides its value from repr and logs.
"""

import difflib
import logging
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

import msgspec

from cpi.contract import errors

T = TypeVar("T", bound=msgspec.Struct)

_log = logging.getLogger(__name__)


class Secret:
    """A string that shows itself only when asked."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


def read_settings(kind: type[T], document: Any, where: str, *, meaningless: frozenset[str] = frozenset()) -> T:
    """The plugin's own block as kind; keys in meaningless are taken by the official CPI and mean nothing here.

    Raises CpiError that lists every fault: missing keys, wrong types, unknown keys with the nearest known one.
    """
    faults: list[str] = []
    settings = _read(kind, document, where, faults, meaningless)
    if settings is None or faults:
        raise errors.CpiError("the configuration has faults:\n" + "\n".join(f"  {fault}" for fault in faults))
    return settings


def read_cloud_properties(kind: type[T], document: Any, where: str = "cloud_properties", *, strict: bool = False) -> T:
    """cloud_properties as kind; unknown keys are logged with the nearest known one, and refused only if strict.

    Several CPIs share VM types and extensions, so a key that another cloud knows is normal here.
    """
    faults: list[str] = []
    unknown = [] if strict or not isinstance(document, Mapping) else _unknown_keys(kind, document, where)
    for fault in unknown:
        _log.info("%s", fault)
    meaningless = frozenset() if strict or not isinstance(document, Mapping) else frozenset(map(str, document))
    settings = _read(kind, document, where, faults, meaningless)
    if settings is None or faults:
        raise errors.CpiError("cloud properties have faults:\n" + "\n".join(f"  {fault}" for fault in faults))
    return settings


def _read(kind: type[T], document: Any, where: str, faults: list[str], meaningless: frozenset[str]) -> T | None:
    if not isinstance(document, Mapping):
        faults.append(f"{where}: expected an object, got {_kind_of(document)}")
        return None
    faults.extend(_unknown_keys(kind, document, where, meaningless))
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        path = f"{where}.{field.encode_name}"
        if field.encode_name in document:
            values[field.name] = _read_field(field.type, document[field.encode_name], path, faults)
        elif field.required:
            faults.append(f"{path}: is missing")
    if faults:
        return None
    try:
        return kind(**values)
    except (ValueError, errors.Error) as error:
        faults.append(f"{where}: {error}")
        return None


def _read_field(wanted: Any, value: Any, path: str, faults: list[str]) -> Any:
    nested = _struct_in(wanted)
    if nested is not None and isinstance(value, Mapping):
        return _read(nested, value, path, faults, frozenset())
    try:
        return msgspec.convert(value, wanted, dec_hook=_secret)
    except msgspec.ValidationError as error:
        faults.append(f"{path}: {_without_root(str(error))}")
        return None


def _struct_in(wanted: Any) -> type[msgspec.Struct] | None:
    for candidate in (wanted, *get_args(wanted)):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None


def _secret(wanted: type, value: Any) -> Any:
    if wanted is not Secret:
        raise NotImplementedError(wanted.__name__)
    if not isinstance(value, str):
        raise TypeError(f"Expected `str`, got {_kind_of(value)}")
    return Secret(value)


def _unknown_keys(
    kind: type[msgspec.Struct], document: Mapping[str, Any], where: str, meaningless: frozenset[str] = frozenset()
) -> list[str]:
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    return [
        f"{where}.{key}: is not known here{_nearest(str(key), known)}"
        for key in document
        if key not in known and key not in meaningless
    ]


def _nearest(key: str, known: set[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"; is {near[0]!r} meant?" if near else ""


def _without_root(message: str) -> str:
    return message.removesuffix(" - at `$`").replace(" - at `$", " at `")


def _kind_of(value: Any) -> str:
    return "null" if value is None else type(value).__name__
