"""Options that the commands about disk moves share, and the entry that they make."""

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from cpi.contract import errors
from cpi.contract.encoding import from_plain
from cpi.contract.units import mib_from_text
from cpi.migration.durable.entry import Entry, checked

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="CPI_DATABASE",
        show_default=False,
        help="Where moves are kept: postgresql://USER@HOST/NAME or sqlite:///PATH. [default: a file in the user's state folder]",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def entry_of(told: dict[str, Any]) -> Entry:
    """The entry that the options mean. Raises CpiError with every fault."""
    missing = [f"--{name}" for name in ("config", "vm", "disk", "size") if not told.get(name)]
    if missing:
        raise errors.CpiError(f"missing: {', '.join(missing)}")
    agent = {key: _path(value) if key not in {"url", "agent_id"} else value for key, value in told["agent"].items() if value}
    plain: dict[str, Any] = {
        "config": _path(told["config"]),
        "vm": told["vm"],
        "disk": told["disk"],
        "size": size_of(told["size"]),
        "properties": _object("--properties", told.get("properties") or "{}"),
        "strategy": None if told.get("strategy") in {None, "auto"} else told["strategy"],
        "snapshot": told.get("snapshot", False),
        "agent": agent,
    }
    if told.get("old_size"):
        plain |= {"old_size": size_of(told["old_size"])}
    if told.get("old_properties"):
        plain |= {"old_properties": _object("--old-properties", told["old_properties"])}
    try:
        return checked(from_plain(plain, Entry))
    except msgspec.ValidationError as error:
        raise errors.CpiError(f"the move can not be made: {error}") from error


def size_of(text: str) -> int:
    """A size in MiB. Raises CpiError."""
    try:
        return mib_from_text(text)
    except ValueError as error:
        raise errors.CpiError(f"{text!r} is no size; as 20G, 512M, or a number of MiB") from error


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
