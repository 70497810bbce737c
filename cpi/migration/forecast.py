"""What a move would do, and for how long, found out without changing anything: the plan, and a sample taken in the guest."""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from cpi.contract import errors
from cpi.migration import holding, scripts
from cpi.migration.disks import Site
from cpi.migration.plan import Facts, Order, plan
from cpi.migration.report import Strategy
from cpi.migration.routine import look
from cpi.migration.steps import STEPS

_SAMPLED_SECONDS: Final = 3
_NANO: Final = 1e9
# Read for the differences from both disks, then once more from both to compare.
_READINGS_OF_A_CHANGE: Final = 4
# Copied, then read from both disks, which goes on at the same time.
_READINGS_OF_ALL: Final = 2
# How often the guest is asked in a live copy, and how many messages to the agent are no mere questions.
_ASKED: Final = 8
_ASKED_WHILE_DOWN: Final = 2
_TASKS: Final = 12
_TASKS_WHILE_DOWN: Final = 8
_NOTHING: Final = ":\n"


class Sample(msgspec.Struct, frozen=True):
    """What a guest's store is like."""

    files: int
    size: int
    changed_files: int
    changed_bytes: int
    """The size of the files that changed within a few seconds."""

    listing_seconds: float
    """How long it takes to find what changed."""

    rate: float | None
    """Bytes a second read from the disk; None if there was no large file to read."""

    answer_seconds: float = 0
    """How long the guest takes to do nothing."""

    task_seconds: float = 0
    """How long the agent takes for a task that is next to nothing."""


class Forecast(msgspec.Struct, frozen=True):
    """A move not made. Times leave out stopping and starting the jobs; None where there is nothing to tell them from."""

    strategy: Strategy
    reason: str
    steps: tuple[str, ...]
    used_bytes: int | None = None
    sample: Sample | None = None
    expected_seconds: float | None = None
    expected_down_seconds: float | None = None
    held_by: tuple[str, ...] = ()
    """Processes that are no jobs and hold the disk: with the jobs down the move would wait for them, and fail."""


def dry_run(order: Order, site: Site) -> Forecast:
    """The way the move would go, and how long it would keep the jobs down. Raises MoveRefused as the move would."""
    facts = look(order, site, again=False)
    course = plan(order, facts)
    sample = None if facts.no_live_copy else take_sample(site, order)
    return Forecast(
        strategy=course.strategy,
        reason=course.reason,
        steps=tuple(STEPS[name].what for name in course.steps),
        used_bytes=facts.used_bytes_at_least,
        sample=sample,
        expected_seconds=expected_seconds(course.strategy, sample),
        expected_down_seconds=expected_down_seconds(course.strategy, sample),
        held_by=_held_by(facts, site, order),
    )


def _held_by(facts: Facts, site: Site, order: Order) -> tuple[str, ...]:
    if facts.no_live_copy or order.old_disk_cid not in facts.mounted:
        return ()
    guest = site.guest(order.move_id)
    try:
        return tuple(str(holder) for holder in holding.strangers(guest))
    finally:
        guest.end_leftovers()


def take_sample(site: Site, order: Order) -> Sample:
    """Look at the store for some seconds."""
    guest = site.guest(order.move_id)
    try:
        found = sample_from(guest.run(scripts.SAMPLE, str(_SAMPLED_SECONDS)).stdout)
        answer, task = _timed(lambda: guest.run(_NOTHING)), _timed(site.agent.list_disk)
    finally:
        guest.end_leftovers()
    return msgspec.structs.replace(found, answer_seconds=answer, task_seconds=task)


def _timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def sample_from(said: bytes) -> Sample:
    """From what the script says: seven numbers."""
    try:
        files, size, changed_files, changed, listing, read, reading = (int(word) for word in said.split())
    except ValueError as error:
        raise errors.CloudError(f"in the guest: expected seven numbers, got {said[-200:]!r}") from error
    return Sample(files, size, changed_files, changed, listing / _NANO, read * _NANO / reading if read and reading else None)


def expected_seconds(strategy: Strategy, sample: Sample | None) -> float | None:
    """For the whole move."""
    if sample is None or sample.rate is None:
        return None
    if strategy is Strategy.LIVE_COPY:
        talk = sample.answer_seconds * _ASKED + sample.task_seconds * _TASKS
        return sample.size * _READINGS_OF_ALL / sample.rate + sample.listing_seconds + talk
    return sample.size / sample.rate + sample.task_seconds * _TASKS if strategy is Strategy.COPY else None


def expected_down_seconds(strategy: Strategy, sample: Sample | None) -> float | None:
    """While the jobs are down."""
    if strategy is Strategy.NOTHING:
        return 0.0
    if sample is None or sample.rate is None:
        return None
    if strategy is Strategy.LIVE_COPY:
        talk = sample.answer_seconds * _ASKED_WHILE_DOWN + sample.task_seconds * _TASKS_WHILE_DOWN
        return sample.listing_seconds + sample.changed_bytes * _READINGS_OF_A_CHANGE / sample.rate + talk
    return sample.size / sample.rate + sample.task_seconds * _TASKS if strategy is Strategy.COPY else None
