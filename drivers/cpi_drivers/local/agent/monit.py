"""monit files of BOSH jobs, as far as this agent understands them: processes with a pid file, started and stopped by programs.

Understood: `check process NAME with pidfile PATH`, `start program "…"` and `stop program "…"` (with `as uid USER and using gid
GROUP` and `with timeout N seconds`), `depends on`, `group`. Left out, and logged: conditions (`if …`) and all other statements;
users too where the agent is not root. Refused: a process `matching` a pattern, and other checks.
"""

import itertools
import logging
import os
import re
import shlex
from collections.abc import Iterator
from typing import Final

import msgspec

from cpi_drivers.local.agent.faults import Fault

_TOKEN: Final = re.compile(r"""\s*(?:\#[^\n]*|("(?:[^"\\]|\\.)*"|'[^']*')|([^\s"'#=,]+)|[=,])""")
_NOISE: Final = frozenset({"with", "and", "is", "has", "the", "using", "use", "program"})
_STATEMENTS: Final = frozenset(
    {"check", "start", "stop", "restart", "group", "depends", "if", "mode", "every", "alert", "onreboot"}
)
_KINDS: Final = frozenset({"process", "file", "fifo", "filesystem", "directory", "host", "system", "program", "network"})
_TIMEOUT: Final = 30.0
_UNDERSTOOD: Final = frozenset({"pidfile", "start", "stop", "depends", "group"})
_AS_AGENT: Final = "programs run as the agent, which is not root"
_NOT_MEASURED: Final = "a process that dies is started again, nothing else is measured"
_log = logging.getLogger(__name__)


class Program(msgspec.Struct, frozen=True):
    """What starts or stops a process."""

    command: tuple[str, ...]
    timeout: float = _TIMEOUT
    user: str = ""
    """A name or a number; the agent's own where it is empty."""

    group: str = ""


class Process(msgspec.Struct, frozen=True):
    """One `check process`."""

    name: str
    pidfile: str
    start: Program
    stop: Program | None = None
    depends_on: tuple[str, ...] = ()


def processes(text: str, where: str) -> tuple[Process, ...]:
    """Every process that a monit file describes. Raises Fault naming what cannot be run."""
    return tuple(_process(words, where) for words in _checks(_tokens(text, where), where))


def _tokens(text: str, where: str) -> list[str]:
    tokens: list[str] = []
    place = 0
    end = len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:
            raise Fault(f"{where}: not understood: {text[place : place + 40]!r}")
        place = match.end()
        if match[1] is not None:
            tokens.append(match[1][1:-1])
        elif match[2] is not None:
            tokens.append(match[2])
    return tokens


def _checks(tokens: list[str], where: str) -> Iterator[list[str]]:
    check: list[str] = []
    for number, token in enumerate(tokens):
        if token.lower() == "check" and number + 1 < len(tokens) and tokens[number + 1].lower() in _KINDS:
            if check:
                yield check
            check = []
        elif not check and token.lower() != "check":
            raise Fault(f"{where}: {token!r} stands before the first check")
        check.append(token)
    if check:
        yield check


def _process(words: list[str], where: str) -> Process:
    kind, name = words[1].lower(), words[2] if len(words) > 2 else ""  # noqa: PLR2004 - check KIND NAME
    if kind != "process":
        raise Fault(f"{where}: check {kind} is not understood by the agent of a local VM: it supervises processes")
    pidfile = ""
    programs: dict[str, Program] = {}
    depends_on: list[str] = []
    for statement in _statements(words[3:]):
        verb, rest = statement[0].lower(), [word for word in statement[1:] if word.lower() not in _NOISE]
        _log_what_is_left_out(verb, statement, where)
        if verb == "pidfile" and rest:
            pidfile = rest[0]
        elif verb == "matching":
            raise Fault(f"{where}: process {name} has no pidfile: a process that is found by a pattern cannot be supervised")
        elif verb in {"start", "stop"} and rest:
            programs[verb] = _program(rest)
        elif verb == "depends":
            depends_on += [word for word in rest if word.lower() != "on"]
    if not (name and pidfile and "start" in programs):
        raise Fault(f"{where}: process {name} needs a pidfile and a start program")
    return Process(name, pidfile, programs["start"], programs.get("stop"), tuple(depends_on))


def _log_what_is_left_out(verb: str, statement: list[str], where: str) -> None:
    if verb not in _UNDERSTOOD:
        _log.warning("%s: %s is left out: %s", where, " ".join(statement), _NOT_MEASURED)
    lowered = [word.lower() for word in statement]
    if verb in {"start", "stop"} and "as" in lowered and os.geteuid() != 0:
        user = itertools.takewhile(lambda word: word.lower() not in {"with", "timeout"}, statement[lowered.index("as") :])
        _log.warning("%s: %s of %s is left out: %s", where, " ".join(user), verb, _AS_AGENT)


def _statements(words: list[str]) -> Iterator[list[str]]:
    statement: list[str] = []
    for word in words:
        starts = word.lower() in _STATEMENTS | {"pidfile", "matching"}
        # `if … then start` and `then stop` end a condition, they begin nothing
        if starts and not (statement and statement[-1].lower() == "then"):
            if statement and statement[0].lower() not in _NOISE:
                yield statement
            statement = []
        statement.append(word)
    if statement and statement[0].lower() not in _NOISE:
        yield statement


def _program(words: list[str]) -> Program:
    lowered = [word.lower() for word in words]

    def after(word: str) -> str:
        return words[lowered.index(word, 1) + 1] if word in lowered[1:-1] else ""

    return Program(tuple(shlex.split(words[0])), float(after("timeout") or _TIMEOUT), after("uid"), after("gid"))
