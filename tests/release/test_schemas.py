"""The schemas that a director checks the jobs' properties with: they refuse mistakes, and nothing that a driver takes."""

import copy
import functools
import json
from collections.abc import Iterator
from typing import Any, Final

import jsonschema
import pytest

import cpi
from cpi.contract import errors
from fixtures.release.rendering import JOBS, Job, laid_out, manifests, render_all, spec
from tests.house.job_schemas import KINDS, NAME
from tests.release.samples import NEEDED, WITHOUT_EFFECT, wish

NAMES: Final = sorted(path.name for path in JOBS.iterdir())
_SAMPLES: Final[dict[str, Any]] = {
    "text": "text",
    "integer": 7,
    "integer in quotes": "7",
    "number": 1.5,
    "number in quotes": "1.5",
    "boolean": True,
    "boolean in quotes": "true",
    "one": 1,
    "empty text": "",
    "texts": ["a"],
    "numbers": [7],
    "objects": [{"a": "b"}],
    "object": {"a": "b"},
}
_FITTING: Final = {
    "string": {"text", "integer", "integer in quotes", "number in quotes", "boolean in quotes", "one", "empty text"},
    "integer": {"integer", "integer in quotes", "one", "empty text"},
    "number": {"integer", "integer in quotes", "number", "number in quotes", "one", "empty text"},
    "boolean": {"boolean", "boolean in quotes", "one", "empty text"},
    "object": {"object", "empty text"},
    "list of strings": {"texts", "numbers", "empty text"},
    "list of objects": {"objects"},
}
_READ_LATER: Final = ("nats.", "env.", "warm.", "debug.", "blobstore.")
"""Properties that connecting does not read, or that reach the process by its environment."""


@functools.cache
def _schema(job: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((JOBS / job / NAME).read_text(encoding="utf-8"))
    return read


def _given(job: str, properties: dict[str, Any]) -> dict[str, Any]:
    """What a director checks: every property of the spec, with its default, or null."""
    whole: dict[str, Any] = {}
    for name, facts in spec(job)["properties"].items():
        *path, last = name.split(".")
        holder, value = whole, properties
        for part in path:
            holder = holder.setdefault(part, {})
            value = value.get(part) or {}
        found = value.get(last)
        holder[last] = facts.get("default") if found is None else found
    return whole


def _faults(job: str, properties: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(_schema(job))
    return [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(_given(job, properties))]


@pytest.mark.parametrize("job", NAMES)
def test_a_schema_is_one_of_the_draft_that_bosh_takes(job: str) -> None:
    """And has each property of the spec at its place, and no other."""
    schema = _schema(job)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)

    def leaves(found: dict[str, Any], path: str = "") -> Iterator[str]:
        for name, inner in found["properties"].items():
            yield from leaves(inner, f"{path}{name}.") if "properties" in inner else [f"{path}{name}"]

    assert sorted(leaves(schema)) == sorted(spec(job)["properties"])


@pytest.mark.parametrize("job", NAMES)
def test_defaults_nulls_and_every_value_that_the_templates_are_tested_with_are_taken(job: str) -> None:
    """And what manifests have."""
    known = spec(job)["properties"]
    needed = NEEDED[job]
    assert _faults(job, laid_out(needed)) == []
    assert _faults(job, laid_out({**dict.fromkeys(known), **needed})) == []
    free = {name: facts for name, facts in known.items() if not facts["description"].startswith(WITHOUT_EFFECT)}
    refused = {name: _faults(job, laid_out({**needed, **wish(name, facts)})) for name, facts in free.items()}
    assert refused == {name: [] for name in free}
    given = [manifest.properties for manifest in manifests().values() if manifest.job == job]
    assert [_faults(job, properties) for properties in given] == [[] for _ in given]


@pytest.mark.parametrize("job", NAMES)
def test_every_property_that_means_something_has_a_kind_and_refuses_others(job: str) -> None:
    """At its own place, and named."""
    for name, facts in spec(job)["properties"].items():
        if "type" not in facts:
            assert facts["description"].startswith(WITHOUT_EFFECT), name
            continue
        taken = set()
        for label, value in _SAMPLES.items():
            faults = _faults(job, laid_out({**NEEDED[job], name: value}))
            assert all(fault.startswith(f"$.{name}") for fault in faults), (name, faults)
            taken |= set() if faults else {label}
        assert taken == _FITTING[facts["type"]], name


def test_each_kind_is_used() -> None:
    """A word that no spec has is no kind."""
    used = {facts.get("type") for job in NAMES for facts in spec(job)["properties"].values()} - {None}
    assert used == set(KINDS) == set(_FITTING)


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("job", NAMES)
def test_what_a_schema_refuses_the_driver_refuses(job: str) -> None:
    """Every kind of value for every property: a schema never stands in the way of what works without one."""
    cases = {
        (name, label): laid_out({**NEEDED[job], **wish(name, facts), name: value})
        for name, facts in spec(job)["properties"].items()
        if not name.startswith(_READ_LATER)
        for label, value in _SAMPLES.items()
    }
    rendered = render_all([(job, copy.deepcopy(properties)) for properties in cases.values()])
    taken = {case for case, done in zip(cases, rendered, strict=True) if isinstance(done, Job) and _connects(done)}
    assert taken
    assert [case for case in taken if _faults(job, cases[case])] == []


def _connects(job: Job) -> bool:
    try:
        cpi.connect(job.document).close()
    except errors.Error:
        return False
    return True
