"""Rooms stay small: the size of files and functions, and the names they may have."""

import ast
import re
import statistics

import pytest

from tests.house.source import length, sources, tracked

LONGEST_FILE = 400
LONGEST_FUNCTION = 50
MEDIAN_FILE = 150
MEDIAN_FUNCTION = 10
_EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
_VERSIONED = re.compile(r"V[0-9]$|_v[0-9]$")


def test_no_file_is_too_long() -> None:
    """None is longer than what can be read in one go."""
    assert {source.path: source.lines for source in sources() if source.lines > LONGEST_FILE} == {}


def test_no_function_is_too_long() -> None:
    """None is longer than a screen."""
    long = {
        f"{source.path}:{function.lineno} {function.name}": length(function)
        for source in sources()
        for function in source.functions()
        if length(function) > LONGEST_FUNCTION
    }
    assert long == {}


@pytest.mark.parametrize("folder", ["cpi", "drivers"])
def test_files_are_short_as_a_rule(folder: str) -> None:
    """Half of them have at most MEDIAN_FILE lines."""
    assert statistics.median(source.lines for source in sources(folder)) <= MEDIAN_FILE


@pytest.mark.parametrize("folder", ["cpi", "drivers"])
def test_functions_are_short_as_a_rule(folder: str) -> None:
    """Half of them have at most MEDIAN_FUNCTION lines; the page of the contract is prose and does not count."""
    measured = [
        length(function)
        for source in sources(folder)
        if source.path != "cpi/contract/cloud.py"
        for function in source.functions()
    ]
    assert statistics.median(measured) <= MEDIAN_FUNCTION


def test_no_file_has_a_name_that_says_nothing() -> None:
    """A room is named after what is in it."""
    assert [path for path in tracked() if _EMPTY_NAMES & set(re.split(r"[/._-]", path.lower()))] == []


def test_no_class_or_function_is_named_after_a_version_or_says_nothing() -> None:
    """There is one newest shape; older ones are projections of it."""
    named = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    found = [
        f"{source.path}:{node.lineno} {node.name}"
        for source in sources("cpi", "drivers")
        for node in source.nodes
        if isinstance(node, named) and (_VERSIONED.search(node.name) or re.search(r"(Manager|Helper|Utils?|Base)$", node.name))
    ]
    assert found == []
