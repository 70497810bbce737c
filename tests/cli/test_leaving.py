"""Ending at once, from wherever a signal finds the process."""

import io
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import pytest

from cpi.cli import screen, stopping

if TYPE_CHECKING:
    from typing_extensions import Buffer


class _Left(BaseException):
    """As the end of the process."""


class _Interrupted(io.RawIOBase):
    """A stream in whose writing the second signal comes."""

    def __init__(self, end: int) -> None:
        self._end = end
        self._is_first = True

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._end

    def write(self, text: "Buffer") -> int:
        if self._is_first:
            self._is_first = False
            stopping.leave("go on with: cpi migrate --resume m --database postgresql://me:hush-hush-1@host/moves")
        return len(memoryview(text))


def test_it_is_told_though_the_signal_comes_in_the_middle_of_what_is_being_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the process ends: its move is not waited for."""

    def left(status: int) -> NoReturn:
        raise _Left(status)

    monkeypatch.setattr(os, "_exit", left)
    read, write = os.pipe()
    stream = io.TextIOWrapper(io.BufferedWriter(_Interrupted(write)), write_through=True)
    monkeypatch.setattr(sys, "stderr", stream)
    with pytest.raises(_Left, match="130"):
        screen.err().print("cancelling")
    monkeypatch.undo()
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as told:
        said = told.read()
    assert said.startswith("go on with: cpi migrate --resume m")
    assert "hush-hush-1" not in said
