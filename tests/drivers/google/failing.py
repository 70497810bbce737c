"""Exactly the k-th API call of what is done fails, for every k."""

import contextlib
import itertools
from collections.abc import Callable
from typing import TypeVar

from cpi.contract import errors
from fixtures.clouds.google.lab import Lab
from fixtures.proxy import Rule, effects
from tests.drivers.google.conftest import refusal

T = TypeVar("T")

MOST_CALLS = 40
_GONE = (errors.VMNotFound, errors.DiskNotFound, errors.NetworkNotFound, errors.DiskNotAttached)


def failing(k: int) -> Rule:
    """The k-th call from now on is refused for good."""
    return Rule("*", effects.decided(lambda _: refusal("injectedFault")), skip=k, times=1)


def each_call(google: Lab, action: Callable[[], object], check: Callable[[int, errors.Error], None]) -> int:
    """Runs action with its first call failing, then its second, until it makes no more; how many there were."""
    for k in itertools.count():
        assert k < MOST_CALLS, "it never ends"
        google.finish()
        rule = failing(k)
        google.proxy.inject(rule)
        try:
            action()
        except errors.Error as error:
            google.proxy.withdraw(rule)
            was_injected(error)
            check(k, error)
        else:
            google.proxy.withdraw(rule)
            if not rule.met:
                return k
    raise AssertionError


def each_call_and_a_repeat(
    google: Lab, make: Callable[[], T], action: Callable[[T], object], check: Callable[[T], object]
) -> int:
    """The same with something new to act on each time: an action that failed is done again, and check sees what came of it."""
    for k in range(MOST_CALLS):
        google.finish()
        made = make()
        rule = failing(k)
        google.proxy.inject(rule)
        try:
            action(made)
        except errors.Error as error:
            google.proxy.withdraw(rule)
            was_injected(error)
            with contextlib.suppress(*_GONE):  # only the answer was missing
                action(made)
        google.proxy.withdraw(rule)
        check(made)
        if not rule.met:
            return k
    raise AssertionError("it never ends")


def was_injected(error: errors.Error) -> None:
    """The error tells what went wrong."""
    assert "injectedFault" in error.message, error.message
