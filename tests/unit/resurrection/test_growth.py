"""When disks grow by themselves: a simulated clock, readings and a past of the test's own."""

from typing import Any

import msgspec
import pytest

from cpi.contract.encoding import to_plain
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.durable.succession import disk_lock
from cpi.durable.works import Row
from cpi.resurrection.growth.deciding import Act, Decision, Past, decide
from cpi.resurrection.growth.history import Growths
from cpi.resurrection.growth.policy import Policy
from cpi.resurrection.growth.readings import Reading, Readings, full_in, reading_from
from cpi.resurrection.growth.report import GrowthOrder, GrowthReport, GrowthStanding
from cpi.resurrection.rules import Backoff

_POLICY = Policy(up_to="500G", at_least="5G")
_HOUR = 3600.0
_NOW = 100 * _HOUR
_SIZE = MiB(100 * 1024)


def _rising(until: float, per_hour: float = 0.0, hours: int = 3, **more: float) -> list[Reading]:
    return [Reading(_NOW - back * _HOUR, until - back * per_hour, **more) for back in range(hours, -1, -1)]


def _decided(readings: list[Reading], past: Past | None = None, size: MiB | str = _SIZE, **policy: Any) -> Decision:
    wanted = msgspec.structs.replace(_POLICY, **policy)
    return decide(wanted, size, readings, past or Past(), _NOW, Backoff(first=60, longest=600))


def test_a_disk_with_room_is_left_alone() -> None:
    """However full it is, if it does not fill; no reading, no decision."""
    assert _decided(_rising(84)) == Decision(Act.NOTHING, "84 % used")
    assert _decided([]) == Decision(Act.NOTHING)


def test_a_disk_that_will_be_full_is_told_in_time() -> None:
    """With the hours that are left; what lasts for days is not told."""
    soon = _decided(_rising(70, per_hour=10))
    assert (soon.act, soon.reason) == (Act.WARN, "70 % used, full in 3.0 h at this rate")
    assert soon.full_in == pytest.approx(3 * _HOUR)
    assert _decided(_rising(20, per_hour=0.5)).act is Act.NOTHING


@pytest.mark.parametrize(
    ("policy", "size", "grown"),
    [
        ({}, 100 * 1024, 125 * 1024),
        ({}, 10 * 1024, 15 * 1024),
        ({"by": "1%"}, 100 * 1024, 105 * 1024),
        ({}, 450 * 1024, 500 * 1024),
        ({}, 1500, 7 * 1024),
        ({"at_least": "10M", "by": "50%"}, 101, 151),
    ],
)
def test_a_full_disk_grows_by_a_share_or_the_least_and_never_beyond_its_limit(
    policy: dict[str, Any], size: int, grown: int
) -> None:
    """Whole GiB, where it has some."""
    decision = _decided(_rising(85), size=MiB(size), **policy)
    assert (decision.act, decision.size) == (Act.GROW, grown)


def test_inodes_count_as_bytes_do() -> None:
    """A disk of small files is full of them."""
    decision = _decided(_rising(20, inodes=90))
    assert (decision.act, decision.reason) == (Act.GROW, "90 % of the inodes used")
    assert _decided(_rising(20, inodes=89)).act is Act.NOTHING


def test_a_runaway_writer_is_not_fed_for_ever() -> None:
    """So many times a day, and up to a size; both are told with the reason."""
    often = Past(grown_at=(_NOW - 20 * _HOUR, _NOW - 3 * _HOUR), ended=_NOW - 3.5 * _HOUR, tries=2)
    refused = _decided(_rising(90, per_hour=5), often)
    assert refused.act is Act.REFUSE
    assert "grown 2 times within 24 hours (per_day: 2)" in refused.reason
    assert "full in 2.0 h" in refused.reason
    yesterday = Past(grown_at=(_NOW - 25 * _HOUR, _NOW - 3 * _HOUR), ended=_NOW - 3.5 * _HOUR, tries=2)
    assert _decided(_rising(90, per_hour=5), yesterday).act is Act.GROW
    large = _decided(_rising(90), size=MiB(500 * 1024))
    assert (large.act, "up_to: 500G" in large.reason) == (Act.REFUSE, True)


def test_what_was_read_before_a_growth_does_not_count_after_it() -> None:
    """A heartbeat may have been on its way."""
    assert _decided(_rising(95), Past(grown_at=(_NOW,), ended=_NOW, tries=1)).act is Act.NOTHING


def test_what_failed_is_tried_again_when_its_time_has_come() -> None:
    """Until then its reason stands; what the guest could not use is finished first, room or not."""
    just = Past(failed_at=(_NOW - 90, _NOW - 30), why_failed="the cooling period ends at noon", ended=_NOW - 30, tries=2)
    held = _decided([Reading(_NOW, 90)], just)
    assert (held.act, held.reason) == (Act.REFUSE, "the cooling period ends at noon")
    longer = msgspec.structs.replace(just, failed_at=(_NOW - 400, _NOW - 121), ended=_NOW - 121)
    assert _decided([Reading(_NOW, 90)], longer).act is Act.GROW
    half = msgspec.structs.replace(longer, unfinished=MiB(7))
    assert _decided([Reading(_NOW, 10)], half).size == 7
    assert _decided([Reading(_NOW, 10)], msgspec.structs.replace(just, unfinished=MiB(7))).act is Act.REFUSE


def test_without_a_size_nothing_grows() -> None:
    """It is asked for; if that is in vain, the reason is told."""
    assert _decided(_rising(90), size="").act is Act.NOTHING
    refused = _decided(_rising(90), size="no shell")
    assert (refused.act, refused.reason) == (Act.REFUSE, "90 % used; its size is not known: no shell")


@pytest.mark.parametrize(
    "policy",
    [{"when": "0%"}, {"when": "100"}, {"inodes": "x"}, {"by": "0"}, {"up_to": "much"}, {"at_least": "-1"}, {"per_day": 0}],
)
def test_what_means_nothing_is_refused(policy: dict[str, Any]) -> None:
    """When the file is read."""
    with pytest.raises(ValueError, match=next(iter(policy))):
        Policy(**{"up_to": "5G", **policy})


def test_a_forecast_is_made_from_the_last_hours() -> None:
    """Rounding is no filling; what sank is not full soon."""
    assert full_in([]) is None
    assert full_in(_rising(50, per_hour=0.2)) is None
    assert full_in(_rising(50, per_hour=-5)) is None
    assert full_in(_rising(50, per_hour=5)) == pytest.approx(10 * _HOUR)


def test_readings_are_kept_for_hours_and_thinned() -> None:
    """The newest one is always there."""
    readings = Readings()
    for second in range(0, 8 * 3600, 5):
        readings.add(Reading(float(second), second / 1000))
    readings.add(Reading(0.0, 99))
    kept = readings.since(0)
    assert kept[-1] == readings.latest == Reading(8 * 3600 - 5.0, (8 * 3600 - 5) / 1000)
    assert kept[0].at >= 2 * 3600 - 60
    assert len(kept) < 800


@pytest.mark.parametrize("vitals", [{}, {"disk": {}}, {"disk": {"persistent": {"percent": "n/a"}}}, {"disk": 3}])
def test_what_an_agent_does_not_tell_is_no_reading(vitals: Any) -> None:
    """Not zero."""
    assert reading_from(vitals, 1.0) is None
    assert reading_from({"disk": {"persistent": {"percent": "7", "inode_percent": "8"}}}, 1.0) == Reading(1.0, 7, 8)


_ORDER = GrowthOrder("/f.yml", "db/0", "db", "local", VmCid("vm"), DiskCid("disk-a"), MiB(200), "90 % used")


def _row(number: int, report: GrowthReport | None, disk: str = "disk-a") -> Row:
    order = to_plain(msgspec.structs.replace(_ORDER, disk=DiskCid(disk)))
    return Row(f"grow-{number}", order, "me", 0.0, report is None, None if report is None else to_plain(report), "")


def test_the_past_of_a_disk_is_also_that_of_those_whose_data_it_has() -> None:
    """A copy is another disk, and no new beginning; what is open is no past."""
    copied = GrowthReport(GrowthStanding.GROWN, 10.0, DiskCid("disk-b"), size=MiB(200))
    half = GrowthReport(GrowthStanding.FAILED, 20.0, DiskCid("disk-b"), "xfs_growfs", size=MiB(300), is_unfinished=True)
    away = GrowthReport(GrowthStanding.FAILED, 30.0, DiskCid("disk-b"), "no agent")
    growths = Growths([_row(1, copied), _row(2, half, "disk-b"), _row(3, away, "disk-b"), _row(4, None, "disk-b")])
    past = growths.past("local", DiskCid("disk-b"))
    assert (past.grown_at, past.failed_at, past.why_failed) == ((10.0,), (20.0, 30.0), "no agent")
    assert (past.unfinished, past.ended, past.tries) == (300, 30.0, 3)
    assert growths.past("aws", DiskCid("disk-b")) == Past()
    assert [one.work_id for one in growths.under_way("db")] == ["grow-4"]
    assert growths.heirs() == {disk_lock("local", "disk-a"): DiskCid("disk-b")}
