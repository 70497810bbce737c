"""When a signal becomes an exception, and when it is passed over."""

import signal
import threading
import types
from collections.abc import Iterator

import pytest

from cpi.kit.undo import Undo
from cpi.rpc.interruption import SIGNALS, Interrupted, Interruption


@pytest.fixture
def interruption() -> Iterator[Interruption]:
    """Installed for one test."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    installed = Interruption()
    installed.install()
    yield installed
    for number, handler in before.items():
        signal.signal(number, handler)


def _raise(number: signal.Signals = signal.SIGTERM) -> None:
    signal.raise_signal(number)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_of_a_call_is_raised_by_its_name(interruption: Interruption, number: signal.Signals) -> None:
    """Once: a second one is passed over."""

    def call() -> None:
        with interruption.armed():
            try:
                _raise(number)
            finally:
                _raise(number)

    with pytest.raises(Interrupted, match=number.name):
        call()


def test_before_and_after_a_call_nothing_is_raised(interruption: Interruption) -> None:
    """The answer is given."""
    _raise()
    with interruption.armed():
        pass
    _raise()


def test_an_undo_is_not_broken_into(interruption: Interruption) -> None:
    """Nor is the call interrupted after it: whoever undid has failed already."""
    undo = Undo()
    removed: list[str] = []
    undo.push("first", lambda: removed.append("first"))
    undo.push("second", _raise)
    with interruption.armed():
        undo.roll_back()
    assert removed == ["first"]


def test_an_undo_in_another_thread_is_no_shield(interruption: Interruption) -> None:
    """The exception is raised in this one."""
    undoing, done = threading.Event(), threading.Event()
    undo = Undo()
    undo.push("slow", lambda: done.wait(20))
    undo.push("tell", undoing.set)
    thread = threading.Thread(target=undo.roll_back)
    thread.start()
    try:
        assert undoing.wait(20)
        with pytest.raises(Interrupted), interruption.armed():
            _raise()
    finally:
        done.set()
        thread.join()


def test_what_catches_every_exception_does_not_swallow_it(interruption: Interruption) -> None:
    """It is no Exception."""

    def call() -> None:
        try:
            _raise()
        except Exception:  # noqa: BLE001 - that is what is tried
            pytest.fail("it was swallowed")

    with pytest.raises(Interrupted), interruption.armed():
        call()


@pytest.mark.parametrize("module", ["cpi.kit.undo", "cpi.rpc.dispatcher"])
def test_between_the_driver_and_whoever_keeps_what_it_made_nothing_is_raised(interruption: Interruption, module: str) -> None:
    """A disk that was made is not yet remembered there, or no longer."""
    there = types.FunctionType(_raise.__code__, {"__name__": module, "signal": signal}, argdefs=(signal.SIGTERM,))
    with interruption.armed():
        # as if written there: what counts is the room in which the signal finds the program
        there()
