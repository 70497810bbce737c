"""Regular expressions as operators have them in their files: in Ruby's language, which is not quite Python's. Pure."""

import functools
import re
import warnings
from collections.abc import Iterator
from typing import Final

from cpi.contract import errors

# What Ruby has and Python writes in another way. \w, \d and \s are ASCII's in Ruby: so they are by the flag.
_ESCAPES: Final = {
    r"\z": r"\Z",
    r"\Z": r"(?=\n?\Z)",
    r"\h": "[0-9a-fA-F]",
    r"\H": "[^0-9a-fA-F]",
    r"\e": r"\x1b",
    r"\R": r"(?:\r\n|[\n\v\f\r])",
}
_IN_SETS: Final = {r"\h": "0-9a-fA-F", r"\e": r"\x1b"}
_TOKENS: Final = re.compile(r"\\[kg][<'][^>']*[>']|\\.|\(\?<(?![=!])[^>]*>|\(\?[a-z]*(?:-[a-z]*)?[:)]|.", re.DOTALL)
_POSIX: Final = re.compile(r"\[:(\^?)(\w+):\]")
_ADVICE: Final = {
    "alpha": "A-Za-z",
    "digit": "0-9",
    "alnum": "A-Za-z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "word": r"\w",
}


class PatternRefused(errors.CpiError):
    """An expression that Python does not understand, or would understand as something else than Ruby."""


@functools.lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """What it means to Ruby. Raises PatternRefused that says what to write."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Python warns of what will mean something else
            return re.compile("".join(_translated(pattern)), re.ASCII)
    except (re.error, FutureWarning, DeprecationWarning, OverflowError) as error:
        raise PatternRefused(f"{pattern!r} is no regular expression here: {error}") from error


def _translated(pattern: str) -> Iterator[str]:
    at, in_set = 0, False
    while at < len(pattern):
        posix = _POSIX.match(pattern, at) if in_set else None
        if posix:
            yield _posix(pattern, posix)
            at = posix.end()
            continue
        token, at, in_set, told = _step(pattern, at, in_set=in_set)
        yield told if told is not None else token


def _step(pattern: str, at: int, *, in_set: bool) -> tuple[str, int, bool, str | None]:
    """The next token, where the one after it begins, whether that is in a set, and what Python has for it, if that is another."""
    if in_set:
        return _step_in_set(pattern, at)
    found = _TOKENS.match(pattern, at)
    token = found[0] if found else pattern[at]
    if token.startswith("["):
        end = at + 1 + pattern.startswith("^", at + 1)
        end += pattern.startswith("]", end)  # the first one is itself
        return pattern[at:end], end, True, None
    return token, at + len(token), False, _told(pattern, token)


def _step_in_set(pattern: str, at: int) -> tuple[str, int, bool, str | None]:
    if pattern[at] == "]":
        return "]", at + 1, False, None
    if pattern[at] == "[" or pattern.startswith("&&", at):
        raise PatternRefused(f"{pattern!r}: sets inside sets, and &&, are Ruby's alone: write one set of the characters")
    taken = pattern[at : at + 2] if pattern[at] == "\\" else pattern[at]
    if taken in {r"\H", r"\R"}:
        raise PatternRefused(f"{pattern!r}: {taken} cannot be in a set here: write the characters")
    return taken, at + len(taken), True, _IN_SETS.get(taken)


def _told(pattern: str, token: str) -> str | None:
    if token.startswith((r"\k<", r"\k'")):
        return f"(?P={token[3:-1]})"
    if token.startswith(r"\g"):
        raise PatternRefused(f"{pattern!r}: {token} calls a group, which Python has not: write it out")
    if token in {r"\p", r"\P", r"\X", r"\K", r"\G"}:
        raise PatternRefused(f"{pattern!r}: {token} is Ruby's alone: write the characters as a set, [A-Za-z0-9] say")
    if token.startswith("(?<") and token.endswith(">"):
        return f"(?P<{token[3:-1]}>"
    if re.fullmatch(r"\(\?[a-z]*(-[a-z]*)?[:)]", token):
        return _flags(pattern, token)
    return _ESCAPES.get(token)


def _flags(pattern: str, token: str) -> str:
    """Ruby's m is Python's s; it has no s of its own, and its ^ and $ are those of lines, which names do not have."""
    if set(token) - set("(?mix-:)"):
        raise PatternRefused(f"{pattern!r}: {token} is not known here: write (?i), (?m), (?x) or their like")
    if "i" in token and not pattern.isascii():
        raise PatternRefused(f"{pattern!r}: with (?i) only ASCII's letters can be written here: write both cases, [Ää] say")
    return token.replace("m", "s")


def _posix(pattern: str, found: re.Match[str]) -> str:
    if found[2] == "xdigit" and not found[1]:
        return "0-9a-fA-F"
    advice = _ADVICE.get(found[2])
    said = f"write {advice} in its place" if advice and not found[1] else "write the characters"
    raise PatternRefused(f"{pattern!r}: {found[0]} means letters of all languages to Ruby and nothing to Python: {said}")
