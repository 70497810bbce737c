"""From a plugin's name to its Cloud class, loaded only when it is asked for.

The drivers of this repository are found by convention: a folder drivers/cpi_drivers/<name> whose __init__ holds plain facts and
imports nothing: CLOUD ("module:Class"), STEMCELL_FORMATS, EXTRA (what to install, empty if nothing). Any other name is
looked for among the entry points of the group "cpi.drivers", each naming a Cloud class.
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from cpi.contract import errors

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from cpi.contract.cloud import Cloud

ENTRY_POINT_GROUP = "cpi.drivers"


def driver_names() -> list[str]:
    """Every driver that could be loaded here, sorted."""
    return sorted({*_own_names(), *(entry.name for entry in _entry_points())})


def known_stemcell_formats(name: str) -> tuple[str, ...] | None:
    """The formats of a driver whose package states them, without loading it: `info` is asked before nearly every call."""
    facts = _own_facts(name) or _facts_of_another(name)
    return None if facts is None else tuple(facts.STEMCELL_FORMATS)


def stemcell_formats(name: str) -> tuple[str, ...]:
    """The formats of any driver, loaded only where that cannot be avoided."""
    known = known_stemcell_formats(name)
    return load(name).stemcell_formats if known is None else known


def load(name: str) -> "type[Cloud]":
    """The Cloud class of a driver. Raises CpiError saying what exists, or what to install."""
    facts = _own_facts(name)
    target = facts.CLOUD if facts is not None else _entry_point(name).value
    extra = facts.EXTRA if facts is not None else ""
    module, _, attribute = target.partition(":")
    try:
        found: type[Cloud] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise errors.CpiError(f"the driver {name!r} cannot be loaded: {error}{install_hint(extra)}") from error
    except TypeError as error:
        raise errors.CpiError(f"the driver {name!r} is not complete: {error}") from error
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise errors.CpiError(f"the driver {name!r} is not complete: {target} does not have {', '.join(missing)}")
    return found


def extra_of(name: str) -> str:
    """The extra that a driver needs; empty for one that needs nothing, or is not of this repository."""
    facts = _own_facts(name)
    return facts.EXTRA if facts is not None else ""


def install_hint(extra: str) -> str:
    """What to do when a driver's SDK is missing."""
    return f"; install it with: pip install 'multicpi[{extra}]'" if extra else ""


def _own_facts(name: str) -> Any | None:
    if not name.isidentifier():
        return None
    if importlib.util.find_spec(f"cpi_drivers.{name}") is None:
        return None
    facts = importlib.import_module(f"cpi_drivers.{name}")
    return facts if hasattr(facts, "CLOUD") else None


def _facts_of_another(name: str) -> Any | None:
    """The package that an entry point's module lies in, if that states STEMCELL_FORMATS, as those of this repository do."""
    for entry in _entry_points():
        package = entry.value.partition(":")[0].rpartition(".")[0]
        if entry.name == name and package:
            try:
                facts = importlib.import_module(package)
            except ImportError:
                return None
            return facts if hasattr(facts, "STEMCELL_FORMATS") else None
    return None


def _own_names() -> list[str]:
    import pkgutil

    import cpi_drivers

    return [module.name for module in pkgutil.iter_modules(cpi_drivers.__path__) if _own_facts(module.name)]


def _entry_points() -> "list[EntryPoint]":
    from importlib.metadata import entry_points

    found = list(entry_points(group=ENTRY_POINT_GROUP))
    taken: dict[str, str] = {name: f"cpi_drivers.{name}" for name in _own_names()}
    for entry in found:
        if taken.setdefault(entry.name, entry.value) != entry.value:
            raise errors.CpiError(f"two drivers are named {entry.name!r}: {taken[entry.name]} and {entry.value}; uninstall one")
    return found


def _entry_point(name: str) -> "EntryPoint":
    for entry in _entry_points():
        if entry.name == name:
            return entry
    raise errors.CpiError(f"unknown driver {name!r}; known drivers: {', '.join(driver_names())}")
