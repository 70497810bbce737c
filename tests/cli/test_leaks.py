"""What a command says beside its results: warnings of its parts, and the trace of what was not foreseen."""

import logging
import sys

import pytest

from cpi.cli import app, screen
from cpi.kit.redaction import remember

_CANARY = "canary-of-the-operator"


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    remember((_CANARY,))
    monkeypatch.setattr(app, "app", lambda: None)
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    app.run()


def test_a_warning_shows_no_secret(capfd: pytest.CaptureFixture[str]) -> None:
    """A library logs what a cloud said; nobody has set up logging in a command."""
    assert isinstance(logging.lastResort, screen.Warnings)
    logging.lastResort.handle(logging.makeLogRecord({"msg": "the cloud said %s", "args": (_CANARY,), "levelno": logging.ERROR}))
    assert capfd.readouterr().err == "the cloud said <redacted>\n"


def test_a_trace_shows_no_secret(capfd: pytest.CaptureFixture[str]) -> None:
    """It is asked for in a report to us."""
    error = RuntimeError(f"the cloud said {_CANARY}")
    app._show_unforeseen(type(error), error, None)
    told = capfd.readouterr().err
    assert "RuntimeError: the cloud said <redacted>" in told
    assert _CANARY not in told
