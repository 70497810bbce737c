"""What the suite leaves out where no VM can be entered, and that it says so."""

import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest

from cpi.testing import CloudContract, GuestlessContract, Harness
from tests.conftest import not_proven
from tests.suite.memory_cloud import MemoryCloud
from tests.suite.memory_harness import memory_harness

_TOLD = "test_what_is_seen_from_inside_a_vm_is_not_proven"


def _tests(contract: type) -> set[str]:
    return {name for name in dir(contract) if name.startswith("test_")}


def test_what_needs_a_guest_is_left_out_and_nothing_else() -> None:
    """Whatever asks for `enter`; in its place stands who tells of it."""
    entering = {name for name in _tests(CloudContract) if "enter" in inspect.signature(getattr(CloudContract, name)).parameters}
    assert len(entering) >= 10
    assert _tests(CloudContract) - _tests(GuestlessContract) == entering
    assert _tests(GuestlessContract) - _tests(CloudContract) == {_TOLD}


class _Simulated(GuestlessContract):
    no_guest = "nothing runs"


def test_all_that_is_left_out_is_named_with_the_reason() -> None:
    """And shown at the end of a run, once for each cloud."""
    told: list[tuple[str, object]] = []
    getattr(_Simulated(), _TOLD)(Harness(config={}), lambda name, value: told.append((name, value)))
    report = SimpleNamespace(nodeid=f"test_c.py::TestC::{_TOLD}", user_properties=[list(each) for each in told])
    other = SimpleNamespace(nodeid="test_d.py::test_d", user_properties=[["refused", "snapshots"]])
    (line,) = not_proven(SimpleNamespace(stats={"passed": [report, report, other]}))  # type: ignore[arg-type]  # all it reads
    assert line.startswith("test_c.py::TestC: nothing runs, so: ")
    left_out = _tests(CloudContract) - _tests(GuestlessContract)
    assert [name for name in left_out if name.removeprefix("test_") not in line] == []


def test_a_harness_with_a_guest_has_no_excuse(tmp_path: Path) -> None:
    """Nor has a class that gives no reason."""
    with pytest.raises(AssertionError, match="the harness has a guest"):
        getattr(_Simulated(), _TOLD)(memory_harness(MemoryCloud, tmp_path), print)
    with pytest.raises(AssertionError, match="say in no_guest"):
        getattr(GuestlessContract(), _TOLD)(Harness(config={}), print)
