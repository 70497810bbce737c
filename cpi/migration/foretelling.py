"""What a sample of a store foretells. Pure: how long a move would take, and keep the jobs down, in each of the ways that copy."""

from typing import Final

import msgspec

from cpi.contract import errors
from cpi.migration.report import Strategy

_NANO: Final = 1e9
# Read for the differences from both disks, then once more from both to compare.
_READINGS_OF_A_CHANGE: Final = 4
# Copied, then read from both disks, which goes on at the same time.
_READINGS_OF_ALL: Final = 2
# How often the guest is asked in a live copy, and how many messages to the agent are no mere questions.
_ASKED: Final = 10
_ASKED_WHILE_DOWN: Final = 5
_TASKS: Final = 12
_TASKS_WHILE_DOWN: Final = 8
# Both disks are listed.
_LISTINGS: Final = 6
_LISTINGS_WHILE_DOWN: Final = 2
# In a plain copy the jobs wait for the cloud too: to make a disk, to attach it, to detach the other. Few are quicker.
_CLOUD_SECONDS: Final = 5.0


# Between clouds each question of one guest to the other is a connection.
_ASKED_BETWEEN_WHILE_DOWN: Final = 20
# Until a new VM's agent answers.
_VM_SECONDS: Final = 60.0
_WHILE_THEY_RUN: Final = frozenset({Strategy.LIVE_COPY, Strategy.BETWEEN_CLOUDS})


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


def sample_from(said: bytes) -> Sample:
    """From what the script says: seven numbers."""
    try:
        files, size, changed_files, changed, listing, read, reading = (int(word) for word in said.split())
    except ValueError as error:
        raise errors.CloudError(f"in the guest: expected seven numbers, got {said[-200:]!r}") from error
    return Sample(files, size, changed_files, changed, listing / _NANO, read * _NANO / reading if read and reading else None)


def expected_down_seconds(strategy: Strategy, sample: Sample | None) -> float | None:
    """While the jobs are down, without stopping and starting them; None if that cannot be told."""
    if strategy in {Strategy.NOTHING, Strategy.ONLINE}:
        return 0.0
    if sample is None or sample.rate is None:
        return None
    if strategy is Strategy.LIVE_COPY:
        talk = sample.answer_seconds * _ASKED_WHILE_DOWN + sample.task_seconds * _TASKS_WHILE_DOWN
        listing = sample.listing_seconds * _LISTINGS_WHILE_DOWN
        return listing + sample.changed_bytes * _READINGS_OF_A_CHANGE / sample.rate + talk
    if strategy is Strategy.BETWEEN_CLOUDS:
        talk = sample.answer_seconds * _ASKED_BETWEEN_WHILE_DOWN + sample.task_seconds * _TASKS_WHILE_DOWN
        return sample.listing_seconds * _LISTINGS_WHILE_DOWN + sample.changed_bytes * _READINGS_OF_A_CHANGE / sample.rate + talk
    return sample.size / sample.rate + sample.task_seconds * _TASKS + _CLOUD_SECONDS if strategy is Strategy.COPY else None


def expected_seconds(strategy: Strategy, sample: Sample | None, bandwidth_kib: int = 0) -> float | None:
    """For the whole move: what is done while the jobs run, and the time in which they do not.

    What a network between two clouds carries is not known before there is a VM on the other: it is taken to keep up.
    """
    down = expected_down_seconds(strategy, sample)
    if down is None or sample is None or sample.rate is None or strategy not in _WHILE_THEY_RUN:
        return down
    talk = sample.answer_seconds * _ASKED + sample.task_seconds * (_TASKS - _TASKS_WHILE_DOWN)
    copying = max(sample.size / sample.rate, sample.size / (bandwidth_kib * 1024) if bandwidth_kib else 0)
    reading = copying + sample.size * (_READINGS_OF_ALL - 1) / sample.rate
    making = _VM_SECONDS if strategy is Strategy.BETWEEN_CLOUDS else 0
    return down + making + reading + sample.listing_seconds * _LISTINGS + talk + _CLOUD_SECONDS
