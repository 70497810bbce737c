"""The plan: for every wish and everything that may be known, the same facts give the same way, and never an unsafe one."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpi.contract.capability import Capability
from cpi.contract.ids import DiskCid, StemcellCid, VmCid
from cpi.contract.units import MiB
from cpi.migration.between.destination import Destination
from cpi.migration.foretelling import Sample
from cpi.migration.plan import Facts, Order, Plan, has_to_choose, plan
from cpi.migration.report import MoveRefused, Strategy, Verify
from cpi.migration.steps import STEPS

_OLD = DiskCid("old")
_ALL = frozenset(Capability)


def _order(size: int = 200, **more: Any) -> Order:
    return Order(move_id="m", vm_cid=VmCid("vm"), old_disk_cid=_OLD, size=MiB(size), **more)


def _facts(**more: Any) -> Facts:
    return Facts(**{"capabilities": _ALL, "mounted": (_OLD,), "jobs_run": True, **more})


_sizes = st.integers(min_value=1, max_value=400).map(MiB)
_properties = st.sampled_from([{}, {"type": "fast"}])
_orders = st.builds(
    Order,
    move_id=st.just("m"),
    vm_cid=st.just(VmCid("vm")),
    old_disk_cid=st.just(_OLD),
    size=_sizes,
    cloud_properties=_properties,
    strategy=st.none() | st.sampled_from(Strategy),
    old_size=st.none() | _sizes,
    old_cloud_properties=st.none() | _properties,
)
_known_facts = st.builds(
    Facts,
    capabilities=st.frozensets(st.sampled_from(Capability)),
    mounted=st.sampled_from([(), (_OLD,)]),
    jobs_run=st.booleans(),
    no_live_copy=st.sampled_from(["", "no shell"]),
    used_bytes_at_least=st.none() | st.integers(min_value=0, max_value=400 * 1024 * 1024),
)


def _planned(order: Order, facts: Facts) -> Plan | None:
    try:
        return plan(order, facts)
    except MoveRefused:
        return None


@given(order=_orders, facts=_known_facts)
def test_a_plan_is_whole(order: Order, facts: Facts) -> None:
    """Every step exists, none comes twice, jobs are stopped before their disk is touched, and started at the end."""
    made = _planned(order, facts)
    if made is None or not made.steps:
        return
    assert set(made.steps) <= set(STEPS)
    assert len(set(made.steps)) == len(made.steps)
    after_start = made.steps[made.steps.index("start_jobs") + 1 :]
    assert set(after_start) == ({"remove_old_disk", "orphan_old_disk"} if made.strategy is Strategy.LIVE_COPY else set())
    live = made.steps[: made.steps.index("stop_jobs")]
    assert not set(live) & {"detach_old_disk", "copy_data", "copy_last", "swap_disks", "resize_disk", "update_disk"}
    assert not live or made.strategy is Strategy.LIVE_COPY
    assert made.reason


@given(order=_orders, facts=_known_facts)
def test_what_can_not_be_undone_lies_behind_the_swap(order: Order, facts: Facts) -> None:
    """Nothing of the old disk is let go before the new one is in its place."""
    made = _planned(order, facts)
    if made is not None:
        assert not {"remove_old_disk", "orphan_old_disk", "start_jobs"} & set(made.before)


@given(order=_orders, facts=_known_facts)
def test_no_power_is_used_that_the_cloud_lacks(order: Order, facts: Facts) -> None:
    """Nor one that would have to shrink a disk."""
    made = _planned(order, facts)
    if made is None or made.strategy not in {Strategy.NATIVE_RESIZE, Strategy.NATIVE_UPDATE}:
        return
    assert {Strategy.NATIVE_RESIZE: Capability.RESIZE_DISK, Strategy.NATIVE_UPDATE: Capability.UPDATE_DISK}[
        made.strategy
    ] in facts.capabilities
    assert order.old_size is None or order.size >= order.old_size
    assert made.fallback is not None


@given(order=_orders, facts=_known_facts)
def test_a_fallback_begins_with_the_disk_back_at_the_vm(order: Order, facts: Facts) -> None:
    """The jobs are stopped already, the native step has detached the disk."""
    made = _planned(order, facts)
    if made is not None and made.fallback is not None and made.strategy is not Strategy.LIVE_COPY:
        assert made.fallback.before[0] == "attach_old_disk"
        assert "stop_jobs" not in made.fallback.steps
        assert made.fallback.fallback is None


@given(order=_orders, facts=_known_facts)
def test_only_a_live_copy_that_was_chosen_may_become_a_plain_one(order: Order, facts: Facts) -> None:
    """The jobs run then, the new disk is attached and holds what was copied: that goes, and the jobs are stopped."""
    made = _planned(order, facts)
    if made is not None and made.strategy is Strategy.LIVE_COPY:
        assert (made.fallback is None) == (order.strategy is Strategy.LIVE_COPY)
        assert made.fallback is None or made.fallback.before[:2] == ("empty_new_disk", "stop_jobs")


@given(order=_orders, facts=_known_facts)
def test_nothing_is_done_only_when_nothing_is_wished_for(order: Order, facts: Facts) -> None:
    """Or when that was asked for and nothing speaks against it."""
    made = _planned(order, facts)
    if made is not None and made.strategy is Strategy.NOTHING:
        assert order.old_size in {None, order.size}
        assert order.old_cloud_properties in (None, order.cloud_properties)
        assert order.strategy is Strategy.NOTHING or order.old_size == order.size


@given(order=_orders, facts=_known_facts)
def test_auto_is_refused_only_for_data_that_does_not_fit(order: Order, facts: Facts) -> None:
    """There is always a way, and a strategy that is asked for is the one that is taken."""
    made = _planned(order, facts)
    if made is None and order.strategy is None:
        assert facts.used_bytes_at_least is not None
        assert facts.used_bytes_at_least > order.size * 1024 * 1024
    if made is not None and order.strategy is not None:
        assert made.strategy is order.strategy
    if made is not None and order.strategy is None:
        assert made.strategy is not (Strategy.LIVE_COPY if facts.no_live_copy else Strategy.COPY)


@pytest.mark.parametrize(
    ("more", "capabilities", "strategy"),
    [
        ({}, _ALL, Strategy.COPY),
        ({"old_size": 100}, _ALL, Strategy.COPY),
        ({"old_size": 200, "old_cloud_properties": {}}, _ALL, Strategy.NOTHING),
        ({"old_size": 100, "old_cloud_properties": {}}, _ALL, Strategy.NATIVE_RESIZE),
        ({"old_size": 100, "old_cloud_properties": {}}, _ALL - {Capability.RESIZE_DISK}, Strategy.NATIVE_UPDATE),
        ({"old_size": 100, "old_cloud_properties": {}}, frozenset(), Strategy.COPY),
        ({"old_size": 200, "old_cloud_properties": {"type": "slow"}}, _ALL, Strategy.NATIVE_UPDATE),
        ({"old_size": 200, "old_cloud_properties": {"type": "slow"}}, {Capability.RESIZE_DISK}, Strategy.COPY),
        ({"old_size": 300, "old_cloud_properties": {}}, _ALL, Strategy.COPY),
    ],
)
def test_the_strategy_follows_from_the_record(more: Any, capabilities: Any, strategy: Strategy) -> None:
    """As the table in docs/migration.md has it."""
    assert plan(_order(**more), _facts(capabilities=frozenset(capabilities))).strategy is strategy


@pytest.mark.parametrize(
    ("order", "facts", "reason"),
    [
        (_order(0), _facts(), "invalid disk size: 0 MiB"),
        (_order(), _facts(mounted=(DiskCid("other"),)), "has other mounted, and not old"),
        (_order(), _facts(mounted=(DiskCid("old"), DiskCid("other"))), "has other mounted, not only old"),
        (_order(strategy=Strategy.NATIVE_RESIZE), _facts(capabilities=frozenset()), "does not support resize_disk"),
        (_order(strategy=Strategy.NATIVE_RESIZE, old_size=300), _facts(), "from 300 to 200 MiB"),
        (
            _order(strategy=Strategy.NATIVE_RESIZE, old_cloud_properties={"a": 1}),
            _facts(),
            "cannot change the disk's properties",
        ),
        (_order(strategy=Strategy.NOTHING, old_size=100), _facts(), "differs"),
        (_order(strategy=Strategy.LIVE_COPY), _facts(), "live_copy was requested.* no shell in the guest was provided"),
        (_order(verify=Verify.FULL), _facts(), "a full comparison was requested, but it is not possible: no shell in the guest"),
        (_order(snapshot=True), _facts(capabilities=frozenset()), "the cloud does not support snapshots"),
        (_order(400), _facts(filesystem="ext", used_inodes=200_000), "200000 inodes are used on old.* 400 MiB would have 108544"),
        (_order(10), _facts(used_bytes_at_least=11 * 1024 * 1024), "at least 11 MiB are used on old.* would have 10 MiB"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(order: Order, facts: Facts, reason: str) -> None:
    """Before anything is changed."""
    with pytest.raises(MoveRefused, match=reason):
        plan(order, facts)


_THERE = Destination(stemcell=StemcellCid("s"), networks={}, name="db/0", spec={"jobs": []})


def test_a_disk_leaves_its_cloud_if_a_destination_is_told_and_only_then() -> None:
    """The jobs are stopped after everything was compared, and nothing that cannot be undone comes before they start there."""
    made = plan(_order(to=_THERE), _facts(no_live_copy=""))
    assert (made.strategy, made.reason, made.fallback) == (Strategy.BETWEEN_CLOUDS, "to another cloud (db/0)", None)
    assert set(made.steps) <= set(STEPS)
    assert made.before.index("verify_across") < made.before.index("stop_jobs") < made.before.index("copy_last_across")
    assert made.after == ("start_jobs_there", "release_old_disk", "leave_guests", "tag_disks")
    undoable = [name for name in made.before if name.endswith("_there") and STEPS[name].undo is not None]
    assert undoable == ["create_vm_there", "create_disk_there", "attach_there"]


@pytest.mark.parametrize("known", [{"finish": True}, {"moved": True}])
def test_what_has_left_its_cloud_is_only_finished(known: dict[str, bool]) -> None:
    """Whether the records tell or the guest itself: the old disk is never copied over the new one."""
    order = _order(to=_THERE, finish=known.get("finish", False))
    made = plan(order, _facts(mounted=(), jobs_run=False, moved=known.get("moved", False)))
    assert (made.strategy, made.before) == (Strategy.BETWEEN_CLOUDS, ())
    assert not {name for name in made.after if "copy" in name or "verify" in name or "attach" in name}
    assert "start_jobs_there" in made.after


@pytest.mark.parametrize(
    ("order", "facts", "reason"),
    [
        (_order(to=_THERE), _facts(), "while its guest copies it: no shell in the guest"),
        (_order(to=msgspec.structs.replace(_THERE, spec=None)), _facts(no_live_copy=""), "has no spec"),
        (_order(to=_THERE, strategy=Strategy.COPY), _facts(no_live_copy=""), "copy was requested, but the disk leaves its cloud"),
        (_order(strategy=Strategy.BETWEEN_CLOUDS), _facts(no_live_copy=""), "between_clouds was requested, but no other cloud"),
        (_order(10, to=_THERE), _facts(no_live_copy="", used_bytes_at_least=11 << 20), "at least 11 MiB are used"),
    ],
)
def test_what_cannot_leave_its_cloud_is_refused_with_the_reason(order: Order, facts: Facts, reason: str) -> None:
    """Before anything is made."""
    with pytest.raises(MoveRefused, match=reason):
        plan(order, facts)


def test_auto_takes_the_way_that_keeps_the_jobs_down_for_less_by_forecast() -> None:
    """A store of which much changes all the time is not copied live; the figures of both are in the reason."""
    order = _order()
    calm = Sample(files=10, size=10**9, changed_files=1, changed_bytes=10**5, listing_seconds=0.1, rate=10**8)
    busy = msgspec.structs.replace(calm, changed_bytes=10**9)
    assert [has_to_choose(order, _facts(no_live_copy=why)) for why in ("", "no shell")] == [True, False]
    live = plan(order, _facts(no_live_copy="", sample=calm))
    assert (live.strategy, "about 0.2 s by forecast, by a plain copy 15 s" in live.reason) == (Strategy.LIVE_COPY, True)
    copy = plan(order, _facts(no_live_copy="", sample=busy))
    assert (copy.strategy, "jobs down for 40 s, a plain copy for 15 s" in copy.reason) == (Strategy.COPY, True)
    assert plan(order, _facts(no_live_copy="", sample=msgspec.structs.replace(busy, rate=None))).strategy is Strategy.LIVE_COPY


def test_a_filesystem_that_knows_of_errors_is_not_moved() -> None:
    """Whatever the strategy; the advice is in the message."""
    for strategy in (Strategy.COPY, Strategy.LIVE_COPY, Strategy.NATIVE_RESIZE):
        with pytest.raises(MoveRefused, match=r"2 errors.*fsck -f"):
            plan(_order(strategy=strategy), _facts(no_live_copy="", filesystem_faults="2 errors"))


def test_a_snapshot_comes_first() -> None:
    """Before anything is made or stopped."""
    made = plan(_order(snapshot=True), _facts(no_live_copy=""))
    assert (made.strategy, made.before[0]) == (Strategy.LIVE_COPY, "snapshot_disk")


def test_an_xfs_makes_inodes_as_it_needs_them() -> None:
    """Only what mkfs settles can be too few."""
    assert plan(_order(), _facts(filesystem="xfs", used_inodes=1 << 40)).strategy is Strategy.COPY


def test_what_an_earlier_try_has_swapped_is_only_finished() -> None:
    """The old disk is out of use: the copy is whole, and is not made again."""
    made = plan(_order(), _facts(mounted=(DiskCid("new"),), new_disk_cid=DiskCid("new")))
    assert (made.before, made.after[0], made.after[-1]) == ((), "stop_jobs", "start_jobs")
    assert "copy_data" not in made.after


def test_what_an_earlier_try_has_begun_is_done_again() -> None:
    """Both are mounted: the copy may not be whole."""
    made = plan(_order(), _facts(mounted=(_OLD, DiskCid("new")), new_disk_cid=DiskCid("new")))
    assert "copy_data" in made.before
