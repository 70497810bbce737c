"""pyproject.toml, constraints.txt and what the code imports tell the same story."""

import importlib
import pkgutil
import sys
import tomllib
from importlib.metadata import packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import drivers
from tests.house import constraints
from tests.house.source import ROOT, sources

_CLOUDS = {"aws", "openstack", "vsphere", "google", "cloudstack", "vcloud"}
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_EXTRAS: dict[str, list[Requirement]] = {
    extra: [Requirement(text) for text in texts] for extra, texts in _PROJECT["optional-dependencies"].items()
}
_CORE = [Requirement(text) for text in _PROJECT["dependencies"]]


def _constraints() -> dict[str, Version]:
    lines = constraints.FILE.read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pins}


_ELSEWHERE = "fixtures/clouds/openstack/inside/"  # runs in an environment of its own, with requirements of its own


def test_the_extras_are_these() -> None:
    """One for each cloud, one for all, one for the durable disk move, one for developers."""
    assert set(_EXTRAS) == _CLOUDS | {"all", "migration", "dev"}


def test_all_is_everything_but_the_developers_tools() -> None:
    """`multicpi[all]` leaves nothing out."""
    (whole,) = _EXTRAS["all"]
    assert whole.name == "multicpi"
    assert whole.extras == _CLOUDS | {"migration"}


def test_every_dependency_has_a_lower_bound() -> None:
    """Without one, an old version that was never tried would do."""
    wanted = [*_CORE, *(one for extra, many in _EXTRAS.items() if extra != "all" for one in many)]
    assert [str(one) for one in wanted if not any(part.operator == ">=" for part in one.specifier)] == []


def test_the_constraints_hold_what_the_tests_install() -> None:
    """Every direct dependency of the core and of every extra is pinned, at a version that pyproject.toml allows."""
    pins = _constraints()
    wanted = [*_CORE, *(one for extra, many in _EXTRAS.items() if extra != "all" for one in many)]
    assert [str(one) for one in wanted if canonicalize_name(one.name) not in pins] == []
    assert [str(one) for one in wanted if pins[canonicalize_name(one.name)] not in one.specifier] == []


def test_what_is_imported_is_declared() -> None:
    """No library comes along by chance, as a dependency of another."""
    declared = {canonicalize_name(one.name) for many in (_CORE, *_EXTRAS.values()) for one in many}
    homes = packages_distributions()
    known = sys.stdlib_module_names | {"cpi", "drivers", "tests", "fixtures"}
    strange = {
        f"{source.path}: {top}"
        for source in sources()
        if not source.path.startswith(_ELSEWHERE)
        for name in source.imports()
        if (top := name.split(".")[0]) not in known
        if not {canonicalize_name(home) for home in (*homes.get(top, []), name)} & declared
    }
    assert strange == set()


def test_a_drivers_extra_exists() -> None:
    """What a driver says to install can be installed."""
    facts = [importlib.import_module(f"drivers.{module.name}") for module in pkgutil.iter_modules(drivers.__path__)]
    assert [module.EXTRA for module in facts if module.EXTRA and module.EXTRA not in _EXTRAS] == []
