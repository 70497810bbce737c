"""Tables of a driver's settings and cloud properties, made from its structs.

A page says where one goes: `<!-- properties: cpi_drivers.aws.properties:VmProperties -->` … `<!-- end of properties -->`.
The words are each field's msgspec.Meta(description=…), or the string below the field in its source.
"""

import ast
import importlib
import inspect
import itertools
import re
import textwrap
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

import msgspec

from tests.house.source import ROOT

_PLACE = re.compile(r"(<!-- properties: (?P<struct>[\w.]+:\w+) -->\n).*?(<!-- end of properties -->)", re.DOTALL)


_PERMISSIONS = re.compile(r"(<!-- permissions: (?P<function>[\w.]+:\w+) -->\n).*?(<!-- end of permissions -->)", re.DOTALL)


def generated() -> dict[str, str]:
    """The text that each driver's page should have."""
    pages = {f"docs/drivers/{path.name}": path.read_text(encoding="utf-8") for path in (ROOT / "docs/drivers").glob("*.md")}
    return {path: _PERMISSIONS.sub(_permitted, _PLACE.sub(_filled, text)) for path, text in pages.items()}


def table(struct: type[msgspec.Struct]) -> str:
    """Every key with its type, meaning and default."""
    hints = typing.get_type_hints(struct, include_extras=True)
    words = _words_below(struct)
    rows = [_row(field, hints[field.name], words.get(field.name, "")) for field in msgspec.structs.fields(struct)]
    return "\n".join(["| key | type | meaning | default |", "|---|---|---|---|", *rows, ""])


def _permitted(match: "re.Match[str]") -> str:
    module, _, name = match["function"].partition(":")
    needed: Mapping[str, list[str]] = getattr(importlib.import_module(module), name)()
    rows = [f"| {feature} | {', '.join(f'`{one}`' for one in permissions)} |" for feature, permissions in needed.items()]
    return match[1] + "\n".join(["| feature | permissions |", "|---|---|", *rows, ""]) + match[3]


def _filled(match: "re.Match[str]") -> str:
    module, _, name = match["struct"].partition(":")
    return match[1] + table(getattr(importlib.import_module(module), name)) + match[3]


def _words_below(struct: type[msgspec.Struct]) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(struct))).body[0]
    lines = body.body if isinstance(body, ast.ClassDef) else []
    return {
        field.target.id: " ".join(str(below.value.value).split())
        for field, below in itertools.pairwise(lines)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    }


def _row(field: msgspec.structs.FieldInfo, hint: Any, words: str) -> str:
    described = (item.description for item in get_args(hint)[1:] if isinstance(item, msgspec.Meta))
    meaning = next((text for text in described if text), words)
    return f"| `{field.encode_name}` | {_type(hint)} | {meaning} | {_default(field)} |"


def _type(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        return _type(get_args(hint)[0])
    if get_origin(hint) in (types.UnionType, typing.Union):
        return " or ".join(_type(one) for one in get_args(hint) if one not in {type(None), msgspec.UnsetType})
    if get_origin(hint) is typing.Literal:
        return ", ".join(f"`{one}`" for one in get_args(hint))
    if get_origin(hint) in (tuple, list):
        return f"list of {_type(get_args(hint)[0])}"
    if get_origin(hint) in (dict, Mapping) or (isinstance(hint, type) and issubclass(hint, msgspec.Struct)):
        return "object"
    return {"str": "string", "bool": "boolean", "int": "integer", "float": "number", "Secret": "secret", "Any": "any"}[
        hint.__name__
    ]


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    if field.default in (None, (), msgspec.NODEFAULT, msgspec.UNSET) or isinstance(field.default, msgspec.Struct):
        return "-"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
