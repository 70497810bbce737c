"""Many moves at once: how many may be under way, who goes first, and when to stop. Pure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from cpi.contract import errors
from cpi.contract.encoding import from_plain
from cpi.contract.units import mib_from_text
from cpi.kit.yaml_file import read_yaml
from cpi.migration.durable.entry import Entry, check


class Fleet(msgspec.Struct, frozen=True):
    """What was ordered."""

    entries: tuple[Entry, ...]
    max_in_flight: int = 1
    canaries: int = 0
    """How many of the first entries have to be moved before any other is begun. One of them failing stops the fleet."""

    stop_share: float = 0.0
    """When more than this share of all entries has failed, no more are begun."""


class Tally(msgspec.Struct, frozen=True):
    """How far a fleet has come; canaries are the first to end, for nobody else begins before."""

    begun: int = 0
    succeeded: tuple[bool, ...] = ()
    """Of each that has ended, in the order of their ends."""

    @property
    def failed(self) -> int:
        """How many were not moved."""
        return self.succeeded.count(False)


class FleetReport(msgspec.Struct, frozen=True):
    """A fleet that has ended."""

    fleet_id: str
    entries: int
    moved: int
    failed: int
    not_begun: int
    stopped: str | None = None
    """Why not all were begun."""


def why_stopped(fleet: Fleet, tally: Tally) -> str | None:
    """Why no more moves may begin; None if they may."""
    if not all(tally.succeeded[: fleet.canaries]):
        return "a canary failed"
    if tally.failed > fleet.stop_share * len(fleet.entries):
        return f"{tally.failed} of {len(fleet.entries)} failed, more than {fleet.stop_share:.0%}"
    return None


def room(fleet: Fleet, tally: Tally) -> int:
    """How many more may begin now."""
    if why_stopped(fleet, tally) is not None:
        return 0
    canaries = min(fleet.canaries, len(fleet.entries))
    admitted = canaries if len(tally.succeeded) < canaries else len(fleet.entries)
    return max(0, min(admitted - tally.begun, fleet.max_in_flight - (tally.begun - len(tally.succeeded))))


_LIST: Final = "moves"
_SHARED: Final = "defaults"
_SIZES: Final = ("size", "old_size")


def read_fleet(path: str) -> tuple[Entry, ...]:
    """The entries of a fleet file. Raises CpiError with every fault in it at once."""
    document = read_yaml(path, "fleets need", "durable")
    if not isinstance(document, Mapping) or not isinstance(document.get(_LIST), list) or not document[_LIST]:
        raise errors.CpiError(f"{path}: expected `{_LIST}:` with a list of entries; see docs/migration.md")
    shared = document.get(_SHARED) or {}
    faults = [f"{key}: unknown key" for key in document if key not in {_LIST, _SHARED}]
    if not isinstance(shared, Mapping):
        faults.append(f"{_SHARED}: expected an object")
        shared = {}
    entries = [_entry(number, shared, told, faults) for number, told in enumerate(document[_LIST], 1)]
    entries = [entry and _placed(entry, Path(path).absolute().parent) for entry in entries]
    faults += _twice([entry for entry in entries if entry is not None])
    if faults:
        raise errors.CpiError("\n  ".join([f"{path} has faults:", *faults]))
    return tuple(entry for entry in entries if entry is not None)


def _entry(number: int, shared: Mapping[str, Any], told: Any, faults: list[str]) -> Entry | None:
    where = f"{_LIST}[{number}]"
    if not isinstance(told, Mapping):
        faults.append(f"{where}: expected an object")
        return None
    merged = {**shared, **told}
    unknown = sorted(str(key) for key in merged if key not in Entry.__struct_fields__)
    lacking = [name for name in ("config", "vm", "disk", "size") if name not in merged]
    found = [f"{name}: unknown key" for name in unknown] + [f"{name}: is missing" for name in lacking]
    known = {key: value for key, value in merged.items() if key in Entry.__struct_fields__}
    entry: Entry | None = None
    try:
        entry = from_plain({**dict.fromkeys(lacking, "?"), **known, **_sizes(known, found, lacking)}, Entry)
        found += check(entry) if not lacking else []
    except msgspec.ValidationError as error:
        found.append(str(error))
    faults += [f"{where}: {fault}" for fault in found]
    return entry if not found else None


def _placed(entry: Entry, folder: Path) -> Entry:
    """Files are named as seen from the fleet's own file, and kept so that every worker finds them."""
    files = {name: getattr(entry.agent, name) for name in ("login", "ca", "certificate", "key")}
    agent = msgspec.structs.replace(entry.agent, **{name: str(folder / file) for name, file in files.items() if file})
    return msgspec.structs.replace(entry, config=str(folder / entry.config), agent=agent)


def _sizes(known: Mapping[str, Any], found: list[str], lacking: list[str]) -> dict[str, Any]:
    sizes: dict[str, Any] = {"size": 1} if "size" in lacking else {}
    for name in _SIZES:
        value = known.get(name)
        if isinstance(value, str):
            try:
                sizes[name] = mib_from_text(value)
            except ValueError:
                found.append(f"{name}: invalid size {value!r}; use 20G, 512M, or a number of MiB")
                sizes[name] = 1
    return sizes


def _twice(entries: list[Entry]) -> list[str]:
    seen: set[tuple[str, str]] = set()
    faults = []
    for entry in entries:
        key = (entry.config, entry.disk)
        if key in seen:
            faults.append(f"disk {entry.disk}: named by two entries")
        seen.add(key)
    return faults
