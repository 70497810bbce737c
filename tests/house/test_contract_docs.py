"""The page of the contract keeps its grammar, and every clause on it has a test of its name in the suite."""

import pytest

from cpi.testing import clause_table

_METHODS = clause_table.methods()


def test_there_is_something_to_hold_to_the_grammar() -> None:
    """The contract has its methods, and the suite its tests."""
    assert len(_METHODS) == 32
    assert len(clause_table.tests()) > 150


@pytest.mark.parametrize("method", _METHODS)
def test_a_page_has_each_clause_once_and_in_order(method: str) -> None:
    """Given, Then, Again, Raises, and none is empty."""
    page = clause_table.page_of(_METHODS[method])
    assert tuple(name for name, _ in page) == clause_table.CLAUSES
    assert all(text.endswith(".") for _, text in page)


@pytest.mark.parametrize("method", _METHODS)
def test_a_page_begins_with_one_sentence(method: str) -> None:
    """What the method does, on a line of its own."""
    first, blank, *_ = (_METHODS[method].__doc__ or "").split("\n")
    assert first.endswith(".")
    assert blank == ""


def test_raises_names_the_ten_errors_and_no_eleventh() -> None:
    """An error that the director does not know cannot be promised."""
    strange = {clause.method: set(clause.errors) - clause_table.known_errors() for clause in clause_table.clauses()}
    assert {method: names for method, names in strange.items() if names} == {}


def test_raises_names_an_error_or_nothing() -> None:
    """And does not leave it open."""
    vague = [c.method for c in clause_table.clauses() if c.name == "Raises" and not c.errors and c.text != "nothing."]
    assert vague == []


def test_every_clause_has_a_test() -> None:
    """Save those that say nothing, and what only the caller can owe."""
    unproven = [f"{clause.method} {clause.name}" for clause in clause_table.clauses() if clause.is_provable and not clause.tests]
    assert unproven == []


def test_every_error_of_a_clause_has_a_test_that_names_it() -> None:
    """VMNotFound in the Raises of a method: test_<method>_raises_…vm_not_found…."""
    unproven = [
        f"{clause.method} {error}"
        for clause in clause_table.clauses()
        for error in clause.errors
        if not any(clause_table.snake(error) in test for test in clause.tests)
    ]
    assert unproven == []


def test_no_excuse_is_kept_that_is_not_needed() -> None:
    """A Given that has a test, or that is gone, is no longer owed."""
    needed = {clause.method for clause in clause_table.clauses() if clause.name == "Given" and not clause.tests}
    assert set(clause_table.OWED) <= needed


def test_every_test_of_the_suite_is_of_a_clause() -> None:
    """Or of the wire: so that no test is missing in the table."""
    strays = [
        test for test in clause_table.tests() if clause_table.clause_of(test) is None and test not in clause_table.wire_tests()
    ]
    assert strays == []


def test_the_snake_form_of_the_errors_is_as_tests_spell_it() -> None:
    """The names with capitals in a row are the traps."""
    assert {error: clause_table.snake(error) for error in ("VMNotFound", "CpiError", "NoDiskSpace", "VMCreationFailed")} == {
        "VMNotFound": "vm_not_found",
        "CpiError": "cpi_error",
        "NoDiskSpace": "no_disk_space",
        "VMCreationFailed": "vm_creation_failed",
    }
