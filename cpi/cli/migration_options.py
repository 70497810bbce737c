"""The options that the commands for disk moves share, and the entry made of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from cpi.cli.destinations import destination_of
from cpi.contract import errors
from cpi.contract.encoding import from_plain, to_plain
from cpi.contract.units import MiB, bytes_from_kib, bytes_from_mib, mib_from_text
from cpi.migration.durable.entry import Entry, checked
from cpi.migration.report import Strategy


def database_option(what: str) -> Any:
    """The --database option of a command."""
    where = "postgresql://USER@HOST/NAME or sqlite:///PATH. [default: a file in the user's state folder]"
    return typer.Option("--database", envvar="CPI_DATABASE", show_default=False, help=f"Database of {what}: {where}")


DatabaseUrl = Annotated[str | None, database_option("moves")]
PictureFile = Annotated[
    Path | None, typer.Option("--picture", show_default=False, help="Draw the move to this SVG file, also if it fails.")
]
PageFile = Annotated[
    Path | None, typer.Option("--page", show_default=False, help="Write the fleet and its timelines to this HTML file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


STRATEGIES: Final = ("auto", *(strategy.value for strategy in Strategy if strategy is not Strategy.BETWEEN_CLOUDS))
"""Between clouds there is one way only, and --to asks for it."""

_AGENT: Final = (
    ("url", "agent_url"),
    ("login", "agent_login"),
    ("ca", "agent_ca"),
    ("agent_id", "agent_id"),
    ("certificate", "agent_certificate"),
    ("key", "agent_key"),
)
# Set for a whole session in the environment, or not set.
_NEUTRAL: Final = {"config"}
_DEFAULTS: Final = {"strategy": "auto", "verify": "changes", "way": "auto", "keep": "7d"}


def refuse_beside(what: str, told: Mapping[str, Any], but: frozenset[str] = frozenset()) -> None:
    """Raises CpiError listing the options that would have no effect, or an unexpected one."""
    ignored = _NEUTRAL | but
    given = [name for name, value in told.items() if value and value != _DEFAULTS.get(name) and name not in ignored]
    beside = [f"--{name.replace('_', '-')}" for name in given]
    if beside:
        raise errors.CpiError(f"{what} cannot be combined with {', '.join(beside)}")


def entry_of(told: Mapping[str, Any]) -> Entry:
    """The entry for the options. Raises CpiError listing every fault."""
    missing = [f"--{name}" for name in ("config", "vm", "disk", "size") if not told.get(name)]
    if missing:
        raise errors.CpiError(f"missing: {', '.join(missing)}")
    agent = {
        key: told[option] if key in {"url", "agent_id"} else _path(told[option]) for key, option in _AGENT if told.get(option)
    }
    plain: dict[str, Any] = {
        "config": _path(told["config"]),
        "vm": told["vm"],
        "disk": told["disk"],
        "size": size_of("--size", told["size"]),
        "properties": _object("--properties", told.get("properties") or "{}"),
        "strategy": _strategy(told.get("strategy") or "auto"),
        "snapshot": told.get("snapshot", False),
        "verify": told.get("verify") or "changes",
        "limits": _limits(told),
        "agent": agent,
    }
    to = destination_of(told)
    if to is not None:
        plain |= {"to": to_plain(to)}
    if told.get("old_size"):
        plain |= {"old_size": size_of("--old-size", told["old_size"])}
    if told.get("old_properties"):
        plain |= {"old_properties": _object("--old-properties", told["old_properties"])}
    try:
        return checked(from_plain(plain, Entry))
    except msgspec.ValidationError as error:
        raise errors.CpiError(f"invalid move: {error}") from error


def _strategy(name: str) -> str | None:
    if name not in STRATEGIES:
        raise errors.CpiError(f"unknown --strategy {name!r}; known strategies: {', '.join(STRATEGIES)}")
    return None if name == "auto" else name


def _limits(told: Mapping[str, Any]) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if told.get("bandwidth"):
        limits["bandwidth_kib"] = bytes_from_mib(MiB(size_of("--bandwidth", told["bandwidth"]))) // bytes_from_kib(1)
    if told.get("down_seconds") is not None:
        limits["down_seconds"] = told["down_seconds"]
    return limits


def size_of(option: str, text: str) -> int:
    """A size in MiB. Raises CpiError."""
    try:
        return mib_from_text(text)
    except ValueError as error:
        raise errors.CpiError(f"{option}: invalid size {text!r}; use 20G, 512M, or a number of MiB") from error


def _object(option: str, text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise errors.CpiError(f"{option}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise errors.CpiError(f"{option}: expected a JSON object")
    return value


def _path(path: Any) -> str:
    return str(Path(path).absolute())
