"""What a move would do, and for how long, found out without changing anything: the plan, and a sample taken in the guest."""

import msgspec

from cpi.migration import holding
from cpi.migration.between.foreseeing import Change, changes
from cpi.migration.disks import Site
from cpi.migration.foretelling import Sample, expected_down_seconds, expected_seconds
from cpi.migration.measuring import take_sample
from cpi.migration.plan import Facts, Order, plan
from cpi.migration.report import Strategy
from cpi.migration.routine import look
from cpi.migration.steps import STEPS


class Forecast(msgspec.Struct, frozen=True):
    """A move not made. Times leave out stopping and starting the jobs; None where there is nothing to tell them from."""

    strategy: Strategy
    reason: str
    steps: tuple[str, ...]
    used_bytes: int | None = None
    sample: Sample | None = None
    expected_seconds: float | None = None
    expected_down_seconds: float | None = None
    changes: tuple[Change, ...] = ()
    """What changes with the cloud, in a move between clouds."""

    held_by: tuple[str, ...] = ()
    """Processes that are no jobs and hold the disk: with the jobs down the move would wait for them, and fail."""


def dry_run(order: Order, site: Site) -> Forecast:
    """The way the move would go, and how long it would keep the jobs down. Raises MoveRefused as the move would."""
    facts = look(order, site, again=False)
    course = plan(order, facts)
    stays = course.strategy is Strategy.ONLINE  # nothing is copied, and nothing is unmounted
    sample = facts.sample or (None if facts.no_live_copy or stays else take_sample(site, order))
    return Forecast(
        strategy=course.strategy,
        reason=course.reason,
        steps=tuple(STEPS[name].what for name in course.steps),
        used_bytes=facts.used_bytes_at_least,
        sample=sample,
        expected_seconds=expected_seconds(course.strategy, sample, order.limits.bandwidth_kib),
        expected_down_seconds=expected_down_seconds(course.strategy, sample),
        changes=() if order.to is None or facts.moved else changes(order, order.to, site, facts),
        held_by=() if stays else _held_by(facts, site, order),
    )


def _held_by(facts: Facts, site: Site, order: Order) -> tuple[str, ...]:
    if facts.no_live_copy or order.old_disk_cid not in facts.mounted:
        return ()
    guest = site.guest(order.move_id)
    try:
        return tuple(str(holder) for holder in holding.strangers(guest))
    finally:
        guest.end_leftovers()
