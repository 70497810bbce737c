"""From the options of `cpi migrate --to` to the VM that is made on the other cloud."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cpi.contract import errors
from cpi.kit.redaction import secrets_in
from cpi.kit.secret_references import without_references
from cpi.migration.between.destination import Destination, Way
from cpi.resurrection.instance import Instance
from cpi.resurrection.watchfile import read_watchfile

_OPTIONS: Final = ("instances", "instance")
_HOURS: Final = {"h": 1, "d": 24, "w": 168}
_AGE = re.compile(r"(\d{1,4})([hdw])")


def destination_of(told: Mapping[str, Any]) -> Destination | None:
    """None without --to. Raises CpiError with every fault of the options or of the instances file."""
    if not told.get("to"):
        beside = [f"--{name}" for name in (*_OPTIONS, "compress") if told.get(name)]
        if beside:
            raise errors.CpiError(f"{', '.join(beside)}: only used with --to")
        return None
    missing = [f"--{name}" for name in _OPTIONS if not told.get(name)]
    if missing:
        raise errors.CpiError(f"--to needs {', '.join(missing)}: the instance says what the new VM is")
    config, file = str(Path(told["to"]).absolute()), told["instances"]
    instance = read_watchfile(file).instance(told["instance"])
    if str(Path(instance.config).resolve()) != str(Path(config).resolve()):
        raise errors.CpiError(f"{file}: the instance {instance.name} has the config {instance.config}, not {config} (--to)")
    _refuse_secrets(file, instance)
    return Destination(
        stemcell=instance.stemcell,
        networks=instance.networks,
        config=config,
        name=instance.name,
        properties=instance.properties,
        env=instance.env,
        spec=instance.spec,
        metadata=instance.metadata,
        agent=instance.agent,
        way=_way(told.get("way") or "auto"),
        compress=bool(told.get("compress")),
        keep_hours=_hours(told.get("keep") or "7d"),
    )


def _refuse_secrets(file: Any, instance: Instance) -> None:
    """What is kept of a move has no secrets in it, and a move is kept whole."""
    parts = {name: getattr(instance, name) for name in ("networks", "properties", "env", "spec")}
    written = [name for name, part in parts.items() if part and secrets_in(without_references(part))]
    if written:
        raise errors.CpiError(
            f"{file}: {instance.name}: secrets in {', '.join(written)} would be stored in the database; put them into files of"
            " their own (from_file)"
        )


def _way(name: str) -> Way:
    try:
        return Way(name)
    except ValueError as error:
        raise errors.CpiError(f"unknown --way {name!r}; known ways: {', '.join(way.value for way in Way)}") from error


def _hours(text: str) -> int:
    match = _AGE.fullmatch(text)
    if match is None:
        raise errors.CpiError(f"--keep: invalid time {text!r}; use 12h, 5d or 2w")
    return int(match[1]) * _HOURS[match[2]]
