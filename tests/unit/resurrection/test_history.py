"""Who replaced whom: pure."""

from typing import Any

import pytest

from cpi.contract.encoding import to_plain
from cpi.contract.ids import StemcellCid, VmCid
from cpi.durable.works import Row
from cpi.resurrection.durable.history import History
from cpi.resurrection.instance import Instance
from cpi.resurrection.report import Order, Report, Standing, Verdict

_INSTANCE = Instance(
    name="db/0", config="/c.json", vm=VmCid("vm-1"), stemcell=StemcellCid("s"), networks={}, group="db", agent_id="agent-1"
)


def _row(vm: str, report: Report | None, fault: str = "", plugin: str = "local") -> Row:
    order = Order(file="/f.yml", name="db/0", vm=VmCid(vm), plugin=plugin, verdict=Verdict.MISSING)
    answer: Any = to_plain(report) if report else None
    is_open = report is None and not fault
    return Row(f"{plugin}-{vm}-1", to_plain(order), "executor", 1.0, is_open, answer, fault)


def _recreated(vm: str, ended: float = 2.0) -> Report:
    return Report(Standing.RECREATED, ended, VmCid(vm), f"agent of {vm}")


def test_the_present_vm_is_at_the_end_of_those_that_replaced_one_another() -> None:
    """From the one that the file names, however old the file is."""
    rows = [_row("vm-1", _recreated("vm-2")), _row("vm-2", _recreated("vm-3", 9.0)), _row("vm-1", _recreated("x"), plugin="aws")]
    present = History(rows).present(_INSTANCE, "local")
    assert (present.vm, present.agent_id, present.under_way, present.unfinished) == ("vm-3", "agent of vm-3", None, None)
    assert (len(present.ended), present.tries_for_vm, len(present.recent(5.0))) == (2, 0, 1)


def test_without_a_history_it_is_the_vm_of_the_file() -> None:
    """And its agent."""
    present = History(()).present(_INSTANCE, "local")
    assert (present.vm, present.agent_id, present.ended) == ("vm-1", "agent-1", ())


def test_a_try_under_way_is_seen() -> None:
    """So that nobody begins another."""
    history = History([_row("vm-1", _recreated("vm-2")), _row("vm-2", None)])
    present = history.present(_INSTANCE, "local")
    assert present.under_way is not None
    assert (present.vm, len(history.under_way(""))) == ("vm-2", 1)


def test_a_try_that_failed_with_a_vm_whose_agent_answered_is_gone_on_with() -> None:
    """The same VM is to be replaced: its token finds the new one again."""
    failed = Report(Standing.FAILED, 2.0, VmCid("vm-2"), "a", message="no", failed_step="mount_disks")
    present = History([_row("vm-1", failed)]).present(_INSTANCE, "local")
    assert present.unfinished is not None
    assert (present.vm, present.tries_for_vm) == ("vm-1", 1)


def test_a_try_whose_new_vm_never_answered_has_that_one_replaced() -> None:
    """It would be found again and again, and never answer."""
    failed = Report(Standing.FAILED, 2.0, VmCid("vm-2"), "a", message="no", failed_step="wait_for_agent")
    present = History([_row("vm-1", failed)]).present(_INSTANCE, "local")
    assert present.unfinished is not None
    assert (present.vm, present.tries_for_vm) == ("vm-2", 0)


def test_a_try_that_ended_without_a_word_failed() -> None:
    """By hand in the database, or by a fault of ours."""
    present = History([_row("vm-1", None, fault="boom")]).present(_INSTANCE, "local")
    (ended,) = present.ended
    assert ended.report is not None
    assert (present.vm, ended.report.standing, ended.report.message) == ("vm-1", Standing.FAILED, "boom")


@pytest.mark.parametrize("step", ["read", "ask", "delete_vm", "create_vm"])
def test_a_try_that_made_no_vm_is_not_gone_on_with(step: str) -> None:
    """The old VM may be alive again: nobody may delete it without asking its agent."""
    failed = Report(Standing.FAILED, 2.0, message="no", failed_step=step)
    present = History([_row("vm-1", failed)]).present(_INSTANCE, "local")
    assert (present.vm, present.unfinished, present.tries_for_vm) == ("vm-1", None, 1)
