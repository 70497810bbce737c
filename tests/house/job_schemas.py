"""The schemas that a director checks the properties of the release's jobs with, made from the jobs' specs.

BOSH looks for `properties_schema.json` in a job's folder. What a director hands to it has the spec's defaults in it, and null for
what was not given. A schema refuses nothing that the driver takes: numbers and booleans may be in quotes, and an empty text
stands for nothing.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import yaml

from tests.house.source import ROOT

NAME: Final = "properties_schema.json"
_SCHEMA: Final = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Final = ["string", "integer"]
KINDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "string": {"type": _TEXT},
    "integer": {"type": ["integer", "string"], "pattern": r"^(-?[0-9]+)?$"},
    "number": {"type": ["number", "string"], "pattern": r"^(-?[0-9]+(\.[0-9]+)?)?$"},
    "boolean": {
        "type": ["boolean", "string", "integer"],
        "pattern": r"^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[01])?$",
        "minimum": 0,
        "maximum": 1,
    },
    "object": {"type": ["object", "string"], "maxLength": 0},
    "list of strings": {"type": ["array", "string"], "items": {"type": _TEXT}, "maxLength": 0},
    "list of objects": {"type": ["array"], "items": {"type": "object"}},
}
"""By the word that a spec has as a property's type. Properties that mean nothing have none, and may be anything."""


def generated() -> dict[str, str]:
    """The text of each job's schema."""
    specs = {path.parent: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / "release/jobs").glob("*/spec")}
    return {str((job / NAME).relative_to(ROOT)): json.dumps(schema(spec), indent=2) + "\n" for job, spec in specs.items()}


def schema(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Of one job."""
    whole = {"$schema": _SCHEMA, "title": f"Properties of {spec['name']}", **_object()}
    for name, facts in spec["properties"].items():
        *path, last = name.split(".")
        holder = whole["properties"]
        for part in path:
            holder = holder.setdefault(part, _object())["properties"]
        holder[last] = _property(facts)
    return whole


def _object() -> dict[str, Any]:
    return {"type": "object", "properties": {}}


def _property(facts: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: facts[key] for key in ("description", "default") if key in facts}
    if "type" not in facts:
        return told
    kind = dict(KINDS[facts["type"]])
    if "default" not in facts:
        kind["type"] = [*kind["type"], "null"]
    return {**told, **kind}
