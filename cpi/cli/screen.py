"""What people see: results on stdout, everything else on stderr."""

import json
import logging
import os
import sys
from typing import Any, NoReturn, TextIO

from rich.console import Console
from rich.text import Text

from cpi.kit.redaction import scrubbed

FAULT_STATUS = 1


def out() -> Console:
    """The console for results. Made when needed: tests and pipes exchange the stream."""
    return _console(sys.stdout)


def err() -> Console:
    """The console for what is said beside the results."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    # what clouds and guests say is shown as it is: a bracket or a colon in it means nothing here
    return Console(file=stream, highlight=False, markup=False, emoji=False)


def show_json(document: Any) -> None:
    """One JSON document: coloured for a terminal, plain for a pipe."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if sys.stdout.isatty():
        out().print_json(text)
        return
    sys.stdout.write(f"{text}\n")


def show_line(document: Any) -> None:
    """One JSON document on one line, at once: for programs that follow."""
    sys.stdout.write(f"{json.dumps(document, ensure_ascii=False)}\n")
    sys.stdout.flush()


def show_fault(message: str) -> None:
    """What went wrong, in red, without secrets."""
    err().print(Text(scrubbed(message), style="red"), soft_wrap=True)


def show_at_once(message: str) -> None:
    """What went wrong, by a signal handler too: it may have interrupted what is being said, and no stream bears that."""
    os.write(sys.stderr.fileno(), f"{scrubbed(message)}\n".encode())


class Warnings(logging.Handler):
    """What is logged as a warning or worse, without secrets: a cloud's words may be in it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """At once."""
        show_at_once(self.format(record))


def fail(message: str) -> NoReturn:
    """Show the fault and end with exit status 1."""
    show_fault(message)
    sys.exit(FAULT_STATUS)
