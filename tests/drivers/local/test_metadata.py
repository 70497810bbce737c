"""Names and values, whatever comes."""

import json
from typing import Any

from cpi_drivers.local.host import metadata


def test_values_become_strings() -> None:
    """A snapshot's index is a number; others may be anything."""
    names: dict[Any, Any] = {"index": 3, "flag": True, "none": None, "list": [1], 5: "x", "odd": object}
    assert metadata.as_strings(names) == {
        "index": "3",
        "flag": "true",
        "none": "",
        "list": "[1]",
        "5": "x",
        "odd": f'"{object}"',
    }


def test_what_is_too_long_is_cut() -> None:
    """Names and values alike."""
    assert metadata.as_strings({"n" * 300: "v" * 300}) == {"n" * 255: "v" * 255}


def test_half_a_character_is_replaced() -> None:
    """JSON can bring a lone surrogate, no database takes it."""
    assert metadata.as_strings({"a": "x\ud800"}) == {"a": "x?"}


def test_metadata_is_added() -> None:
    """The new value of an old name wins."""
    assert json.loads(metadata.added('{"a": "1", "b": "2"}', {"b": 3, "c": 4})) == {"a": "1", "b": "3", "c": "4"}


def test_too_many_names_are_left_out() -> None:
    """Those that are there stay."""
    kept = json.loads(metadata.added('{"first": "1"}', {str(number): "" for number in range(500)}))
    assert len(kept) == 200
    assert kept["first"] == "1"
