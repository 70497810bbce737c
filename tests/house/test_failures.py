"""One vocabulary of failure: drivers' errors are kinds of cpi.kit.failures, and contract errors come from their tables."""

import ast
import importlib
import inspect
from collections import Counter

import pytest

from cpi.contract import errors
from cpi.kit import failures
from tests.house.source import ROOT, sources

_DRIVERS = ("aws", "cloudstack", "google", "openstack", "vcloud", "vsphere")
_SPECIFIC = {kind.__name__ for kind in errors.TEN} - {"CpiError", "CloudError"}

# Raised where BOSH's own word is the reason: a size, a disk that something else holds, a VM that came to nothing. Only downwards.
_MOST = {"aws": 8, "cloudstack": 12, "google": 9, "local": 9, "openstack": 15, "vcloud": 7, "vsphere": 34}


def _kinds(module: object) -> dict[str, type[errors.Error]]:
    found = inspect.getmembers(module, lambda one: inspect.isclass(one) and issubclass(one, errors.Error))
    return {name: kind for name, kind in found if kind.__module__ == getattr(module, "__name__", "")}


@pytest.mark.parametrize("name", _DRIVERS)
def test_what_has_a_name_in_the_kit_is_a_kind_of_it(name: str) -> None:
    """A reader who knows `AnswerLost` of one driver knows that of the others; so does code that catches it."""
    common = _kinds(failures)
    own = _kinds(importlib.import_module(f"cpi_drivers.{name}.api.errors"))
    assert {kind for kind in own if kind in common and not issubclass(own[kind], common[kind])} == set()
    assert all(issubclass(kind, tuple(common.values())) or kind.__name__ == "NotLetIn" for kind in own.values())


def _raised(source: str) -> list[str]:
    raised = [
        node.exc.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    ]
    names = [kind.attr if isinstance(kind, ast.Attribute) else getattr(kind, "id", "") for kind in raised]
    return [name for name in names if name in _SPECIFIC]


def test_few_errors_of_the_contract_are_raised_outside_the_tables() -> None:
    """Each driver has so many at most; who removes one lowers the figure."""
    found: Counter[str] = Counter()
    for source in sources():
        if source.path.startswith("drivers/cpi_drivers/") and not source.path.endswith("/errors.py"):
            found[source.path.split("/")[2]] += len(_raised((ROOT / source.path).read_text(encoding="utf-8")))
    assert dict(+found) == _MOST
