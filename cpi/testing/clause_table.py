"""Which test proves which clause: read from the contract's page and from the suite, never written by hand."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from cpi.contract.cloud import Cloud
from cpi.contract.errors import TEN
from cpi.contract.operator import ChangesAttachedDisks, GrowsAttachedDisks, ListsTaggedResources
from cpi.testing.conformance import CloudContract

CLAUSES: Final = ("Given", "Then", "Again", "Raises")

OWED: Final[Mapping[str, str]] = {
    "close": "a Cloud cannot know about a call in progress in another thread",
    "delete_stemcell": "the caller tracks VMs and stemcells; some clouds refuse, others do not",
    "reboot_vm": "see Raises: VMNotFound",
    "set_vm_metadata": "see Raises: VMNotFound",
    "calculate_vm_cloud_properties": "a unit cannot be checked",
    "detach_disk": "a cloud cannot see what an agent uses",
    "get_disks": "see Raises: VMNotFound",
    "grow_attached_disk": "see Raises: DiskNotAttached",
    "change_attached_disk": "see Raises: DiskNotAttached",
    "delete_tagged_resource": "see Raises: CloudError",
}
"""Methods whose Given cannot be refused, and why: the caller owes it."""

_HEAD = re.compile(r"\n *(?=(?:Given|Then|Again|Raises): )")
_ERROR_LIKE = re.compile(r"\b(?:[A-Z]+[a-z]+){2,}\b")


class Clause(NamedTuple):
    """One clause of one method."""

    method: str
    name: str
    text: str
    tests: tuple[str, ...]

    @property
    def errors(self) -> tuple[str, ...]:
        """The errors that it names."""
        return tuple(_ERROR_LIKE.findall(self.text)) if self.name == "Raises" else ()

    @property
    def is_provable(self) -> bool:
        """Whether it says anything that a test could find broken."""
        return not self.text.lower().startswith("nothing") and not (self.name == "Given" and self.method in OWED)


def methods() -> Mapping[str, Callable[..., Any]]:
    """The methods of the contract, in its order; then those beyond the CPI that have clauses."""
    kinds = (Cloud, GrowsAttachedDisks, ChangesAttachedDisks, ListsTaggedResources)
    members = ((name, member) for kind in kinds for name, member in vars(kind).items() if not name.startswith("_"))
    found = {name: getattr(member, "__func__", member) for name, member in members}
    return {name: member for name, member in found.items() if inspect.isfunction(member)}


def page_of(method: Callable[..., Any]) -> list[tuple[str, str]]:
    """The clauses in a method's docstring, as they stand there."""
    _, *clauses = _HEAD.split(inspect.cleandoc(method.__doc__ or ""))
    pairs = (clause.partition(":") for clause in clauses)
    return [(name, " ".join(text.split())) for name, _, text in pairs]


def tests() -> list[str]:
    """Every test of the suite."""
    return sorted(name for name in dir(CloudContract) if name.startswith("test_"))


def clause_of(test: str) -> tuple[str, str] | None:
    """The method and the clause that a test's name says it proves."""
    for method in sorted(methods(), key=len, reverse=True):
        for clause in CLAUSES:
            if test.startswith(f"test_{method}_{clause.lower()}"):
                return method, clause
    return None


def clauses() -> list[Clause]:
    """Every clause of every method with its tests."""
    owners = {test: clause_of(test) for test in tests()}
    return [
        Clause(method, name, text, tuple(test for test, owner in owners.items() if owner == (method, name)))
        for method, function in methods().items()
        for name, text in page_of(function)
    ]


def wire_tests() -> list[str]:
    """The tests of what only the executable can get wrong."""
    return [test for test in tests() if test.startswith("test_wire_")]


def words(test: str) -> str:
    """A test's name as people read it: what it says after the clause."""
    owner = clause_of(test)
    head = "test_wire_" if owner is None else f"test_{owner[0]}_{owner[1].lower()}_"
    return test.removeprefix(head).replace("_", " ")


def snake(error: str) -> str:
    """An error's name as tests spell it: VMNotFound is vm_not_found."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", error).lower()


def known_errors() -> frozenset[str]:
    """The names of the ten."""
    return frozenset(error.__name__ for error in TEN)


def as_markdown() -> str:
    """The table of docs/conformance.md."""
    rows = [f"| `{clause.method}` | **{clause.name}** {clause.text} | {_proof(clause)} |" for clause in clauses()]
    shown = [f"- {words(test)}" for test in wire_tests()]
    return "\n".join(["| method | clause | tests |", "|---|---|---|", *rows, "", "For the executable only:", "", *shown, ""])


def _proof(clause: Clause) -> str:
    if clause.tests:
        return "<br>".join(words(test) for test in clause.tests)
    return f"*{OWED[clause.method]}*" if clause.name == "Given" and clause.method in OWED else ""
