"""Whatever fails, what was made is removed, last first, and the first error is the one that is told."""

import logging
import threading

import pytest

from cpi.kit.undo import Undo, under_way


class Stopped(BaseException):
    """As a signal raises it."""


def test_what_ends_well_stays() -> None:
    """Nothing is removed."""
    removed: list[str] = []
    with Undo() as undo:
        undo.push("disk", lambda: removed.append("disk"))
    assert removed == []
    assert undo.clean


@pytest.mark.parametrize("kind", [ValueError, Stopped, KeyboardInterrupt, SystemExit])
def test_whatever_is_raised_undoes_it_all_last_first(kind: type[BaseException]) -> None:
    """And goes on its way."""
    removed: list[str] = []

    def make() -> None:
        with Undo() as undo:
            for name in ("disk", "port", "vm"):
                undo.push(name, lambda name=name: removed.append(name))  # type: ignore[misc]  # the default binds the name
            raise kind

    with pytest.raises(kind):
        make()
    assert removed == ["vm", "port", "disk"]


def test_a_removal_that_fails_is_logged_and_hides_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The others are still removed; clean tells the caller that something is left."""
    removed: list[str] = []
    undo = Undo()

    def fail() -> None:
        raise OSError("no answer")

    def make() -> None:
        with undo:
            undo.push("disk", lambda: removed.append("disk"))
            undo.push("port 7", fail)
            raise ValueError("the first error")

    with caplog.at_level(logging.ERROR), pytest.raises(ValueError, match="the first error"):
        make()
    assert removed == ["disk"]
    assert not undo.clean
    assert caplog.messages == ["could not remove port 7, it is left behind: no answer"]


def test_nothing_is_removed_twice() -> None:
    """Rolled back by hand, and then by the end of the block."""
    removed: list[str] = []

    def make() -> None:
        with Undo() as undo:
            undo.push("disk", lambda: removed.append("disk"))
            undo.roll_back()
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - it has no message
        make()
    assert removed == ["disk"]


def test_undoing_is_known_to_its_own_thread_only() -> None:
    """A signal must not break into it, and is none of another thread's business; one undo may lie in another."""
    seen: list[bool] = []

    def look_from_another_thread() -> None:
        thread = threading.Thread(target=lambda: seen.append(under_way()))
        thread.start()
        thread.join()

    def nested() -> None:
        inner = Undo()
        inner.push("inner", lambda: seen.append(under_way()))
        inner.roll_back()
        seen.append(under_way())

    outer = Undo()
    outer.push("look", look_from_another_thread)
    outer.push("nested", nested)
    assert not under_way()
    outer.roll_back()
    assert seen == [True, True, False]
    assert not under_way()
