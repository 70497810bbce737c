"""From a document to a frozen struct, with every fault of it in one error and its secrets wrapped.

A driver declares its settings as a msgspec.Struct; a field of type Secret hides its value from repr and logs.
A key whose value is null is as good as absent, except where its type says that null means something of its own. So are an
optional one whose value is an empty string, where a string means nothing; and, where null may be said, a blank text, and an empty
object where an object has keys that it must have. Scalars that people quote or do not quote are taken as what is wanted: "4000"
for a number, "true" for a boolean, 12345 for a string.
"""

import copy
import difflib
import logging
import types
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

import msgspec

from cpi.contract import errors
from cpi.contract.encoding import from_plain
from cpi.contract.model import Overlaid
from cpi.kit.redaction import remember

T = TypeVar("T", bound=msgspec.Struct)

STEMCELL_KEYS: Final = frozenset(
    {
        "architecture",
        "auto_disk_config",
        "boot_mode",
        "container_format",
        "disk",
        "disk_format",
        "hypervisor",
        "infrastructure",
        "name",
        "os_distro",
        "os_type",
        "root_device_name",
        "version",
    }
)
"""What the stemcell.MF of any cloud may say: it means something to one cloud or another, and is no mistake for the others."""

DISK_KEYS: Final = frozenset({"name"})
"""What the director says of every dynamic disk."""

_log = logging.getLogger(__name__)

_MOST_TOLD: Final = 50


class Secret:
    """A string that shows itself only when asked."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        remember((value,))

    def reveal(self) -> str:
        """The secret."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


def read_settings(kind: type[T], document: Any, where: str, *, ignored_keys: frozenset[str] = frozenset()) -> T:
    """The plugin's own block as kind; keys in meaningless are taken by the official CPI and mean nothing here.

    Raises CpiError that lists every fault: missing keys, wrong types, unknown keys with the nearest known one. An unknown
    key that only the call's context has is logged: directors may come to send keys that are not meant for a driver.
    """
    reader = _Reader()
    settings = reader.struct(kind, document, where, ignored_keys)
    for unknown in reader.unknown_in_context:
        _log.warning("%s", unknown)
    faults = [*reader.unknown, *reader.faults]
    if settings is None or faults:
        raise errors.CpiError("the configuration has faults:\n" + "\n".join(f"  {fault}" for fault in faults))
    return settings


def with_session(block: Any, values: Mapping[str, Any], replaced: frozenset[str] = frozenset()) -> Any:
    """A copy of a driver's block without the keys that a session replaces, and with the values that it brings.

    What is no object is returned as it is: read_settings says so.
    """
    if not isinstance(block, Mapping):
        return block
    combined = copy.copy(block) if isinstance(block, dict) else dict(block)
    for key in replaced:
        combined.pop(key, None)
    combined.update(values)
    return combined


def read_cloud_properties(
    kind: type[T],
    document: Any,
    where: str = "cloud_properties",
    *,
    strict: bool = False,
    ignored_keys: frozenset[str] = frozenset(),
) -> T:
    """cloud_properties as kind; unknown keys are logged with the nearest known one, and refused only if strict.

    Several CPIs share VM types and extensions, so a key that another cloud knows is normal here. Keys in meaningless are taken
    where kind does not have them: STEMCELL_KEYS for stemcells, DISK_KEYS for disks.
    """
    reader = _Reader()
    settings = reader.struct(kind, document, where, ignored_keys)
    for unknown in () if strict else reader.unknown:
        _log.info("%s", unknown)
    faults = [*(reader.unknown if strict else ()), *reader.faults]
    if settings is None or faults:
        raise errors.CpiError("cloud properties have faults:\n" + "\n".join(f"  {fault}" for fault in faults))
    return settings


class _Reader:
    """Goes through a document as deep as structs go, and gathers what is wrong and what is not known."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.unknown: list[str] = []
        self.unknown_in_context: list[str] = []

    def struct(self, kind: type[T], document: Any, where: str, ignored_keys: frozenset[str] = frozenset()) -> T | None:
        if not isinstance(document, Mapping):
            self.faults.append(f"{where}: expected an object, got {_kind_of(document)}")
            return None
        self._look_for_unknown(kind, document, where, ignored_keys)
        values: dict[str, Any] = {}
        for field in msgspec.structs.fields(kind):
            name, path = field.encode_name, f"{where}.{field.encode_name}"
            if name in document and not _is_left_out(field, document[name]):
                values[field.name] = self.value(field.type, document[name], path)
            elif field.required:
                self.faults.append(f"{path}: is missing{' (it is null)' if name in document and document[name] is None else ''}")
        return None if self.faults else self._made(kind, values, where)

    def _look_for_unknown(
        self, kind: type[msgspec.Struct], document: Mapping[str, Any], where: str, ignored_keys: frozenset[str]
    ) -> None:
        of_context = document.of_context if isinstance(document, Overlaid) else frozenset[str]()
        known = {field.encode_name for field in msgspec.structs.fields(kind)}
        unknown = [key for key in document if key not in known and key not in ignored_keys]
        told = [key for key in unknown if key not in of_context]
        self.unknown += [f"{where}.{key}: unknown key{_nearest(str(key), known)}" for key in told[:_MOST_TOLD]]
        self.unknown += _more(len(told), where)
        left = [key for key in unknown if key in of_context]
        self.unknown_in_context += [f"context.{key}: unknown key, ignored{_nearest(key, known)}" for key in left[:_MOST_TOLD]]
        self.unknown_in_context += _more(len(left), "context")

    def value(self, wanted: Any, value: Any, path: str) -> Any:
        for option in _options(wanted):
            if _is_struct(option) and isinstance(value, Mapping):
                return self.struct(option, value, path)
            if get_origin(option) in (list, tuple) and isinstance(value, list) and _holds_keys(get_args(option)[0]):
                items = [self.value(get_args(option)[0], item, f"{path}[{index}]") for index, item in enumerate(value)]
                return get_origin(option)(items)
            if get_origin(option) in (dict, Mapping) and isinstance(value, Mapping):
                item = get_args(option)[1]
                present = _present(value, item)
                if item is Any:
                    return self._plain(wanted, present, path)
                return {key: self.value(item, each, f"{path}.{key}") for key, each in present.items()}
        return self._plain(wanted, value, path)

    def _plain(self, wanted: Any, value: Any, path: str) -> Any:
        try:
            return from_plain(_unquoted(value, wanted), wanted, _secret, strict=False)
        except msgspec.ValidationError as error:
            self.faults.append(f"{path}{_fault(str(error))}")
            return None

    def _made(self, kind: type[T], values: dict[str, Any], where: str) -> T | None:
        try:
            return kind(**values)
        except (ValueError, errors.Error) as error:
            self.faults.append(f"{where}: {error}")
            return None


def _bare(wanted: Any) -> Any:
    """Without its description."""
    return wanted.__origin__ if get_origin(wanted) is Annotated else wanted


def _options(wanted: Any) -> list[Any]:
    """What it may be: the members of a union, or the one thing that it is."""
    bare = _bare(wanted)
    return [_bare(option) for option in get_args(bare)] if _is_union(bare) else [bare]


def _takes_null(wanted: Any) -> bool:
    return type(None) in _options(wanted)


def _is_left_out(field: Any, value: Any) -> bool:
    """Whether a key with this value is as good as absent."""
    if value == "" and isinstance(value, str) and _means_absent(field):
        return True
    if not _takes_null(field.type):
        return value is None
    options = _options(field.type)
    if isinstance(value, str):
        return not value.strip() and (str in options or Secret in options)
    return value == {} and isinstance(value, Mapping) and _has_required(options)


def _has_required(options: list[Any]) -> bool:
    return any(field.required for option in options if _is_struct(option) for field in msgspec.structs.fields(option))


def _present(named: Mapping[Any, Any], wanted: Any) -> dict[Any, Any]:
    """Values by names of the operator's own: a null one is absent; where objects are wanted, it is an empty one."""
    if _takes_null(wanted):
        return dict(named)
    nothing: Any = {} if any(map(_is_struct, _options(wanted))) else None
    given = {key: nothing if value is None else value for key, value in named.items()}
    return {key: value for key, value in given.items() if value is not None}


def _holds_keys(wanted: Any) -> bool:
    """Whether keys, and so null ones, may lie somewhere in it."""
    return any(
        _is_struct(option) or get_origin(option) in (dict, Mapping) or any(map(_holds_keys, get_args(option)))
        for option in _options(wanted)
    )


def _is_struct(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, msgspec.Struct)


def _is_union(wanted: Any) -> bool:
    return get_origin(wanted) in (Union, types.UnionType)


def _means_absent(field: Any) -> bool:
    """Whether an empty string stands for the default: it is no value of that type, or no name of anything."""
    takes_text = any(option in (str, Secret, Any) for option in _options(field.type))
    return not field.required and (not takes_text or bool(field.default and isinstance(field.default, str)))


def _unquoted(value: Any, wanted: Any) -> Any:
    """Whole numbers where strings are wanted, as strings: names and ids look like numbers, and YAML asks for no quotes.

    Other scalars are no strings: YAML has made `1.10` of what may have been a version, and true of `yes`.
    """
    for option in _options(wanted):
        if isinstance(value, list) and get_origin(option) in (list, tuple):
            return [_unquoted(item, get_args(option)[0]) for item in value]
        if isinstance(value, Mapping) and get_origin(option) in (dict, Mapping):
            return {key: _unquoted(item, get_args(option)[1]) for key, item in value.items()}
    options = _options(wanted)
    return str(value) if type(value) is int and str in options and not {int, float} & set(options) else value


def _secret(wanted: type, value: Any) -> Any:
    if wanted is not Secret:
        raise NotImplementedError(wanted.__name__)
    if not isinstance(value, str):
        raise TypeError(f"Expected `str`, got {_kind_of(value)}")
    return Secret(value)


def _more(count: int, where: str) -> list[str]:
    return [f"{where}: {count - _MOST_TOLD} more unknown keys"] if count > _MOST_TOLD else []


def _nearest(key: str, known: set[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _fault(message: str) -> str:
    """msgspec's `Expected … - at `$.a`` with the path in front."""
    text, _, path = message.partition(" - at `$")
    unquoted = "Expected `str" in text and text.endswith(("got `float`", "got `bool`"))
    return f"{path.rstrip('`')}: {text}{': put it in quotes' if unquoted else ''}"


def _kind_of(value: Any) -> str:
    return "null" if value is None else type(value).__name__
