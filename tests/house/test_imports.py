"""Who may import what: import-linter for the floors, the rest read from the tree."""

import subprocess
import sys
from pathlib import Path

from tests.house.source import ROOT, Source, sources

_SDKS = {
    "boto3", "botocore", "openstack", "keystoneauth1", "pyVmomi", "vmware", "pyVim",
    "googleapiclient", "google", "libcloud",
}  # fmt: skip
_SDK_ROOMS = {"client.py", "session.py", "errors.py"}
_CONTRACT_MAY_IMPORT = {"cpi", "msgspec"} | sys.stdlib_module_names


def _foreign(source: Source, allowed: set[str]) -> set[str]:
    return {name for name in source.imports() if name.split(".")[0] not in allowed}


def test_the_floors_hold() -> None:
    """Imports point down, cpi imports no driver, drivers see contract and kit: as pyproject.toml says."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_driver_sees_the_contract_the_kit_and_its_own_folder() -> None:
    """Not even the names that `cpi` itself offers: they hide where they come from."""
    found = {
        source.path: strange
        for source in sources("drivers")
        if (strange := {name for name in source.imports() if _is_ours(name) and not _is_open_to(name, source)})
    }
    assert found == {}


def _is_ours(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] in {"cpi", "cpi_drivers", "tests", "fixtures"}


def _is_open_to(name: str, source: Source) -> bool:
    own = ".".join(Path(source.path).parts[1:3])
    return name.startswith(("cpi.contract", "cpi.kit", own))


def test_the_words_need_nothing_but_msgspec() -> None:
    """The contract can be read and used without any other library."""
    found = {source.path: _foreign(source, _CONTRACT_MAY_IMPORT) for source in sources("cpi") if "/contract/" in source.path}
    assert {path: names for path, names in found.items() if names} == {}


def test_an_sdk_is_named_in_one_room() -> None:
    """client.py speaks to the cloud, session.py logs in, errors.py names the exceptions; no other file knows the SDK."""
    found = {
        source.path: named
        for source in sources("cpi", "drivers")
        if Path(source.path).name not in _SDK_ROOMS or not source.path.startswith("drivers/")
        if (named := {name for name in source.imports() if name.split(".")[0] in _SDKS})
    }
    assert found == {}


def test_a_driver_states_its_facts_without_importing() -> None:
    """`info` reads them before nearly every call."""
    facts = [source for source in sources("drivers") if source.path.count("/") == 3 and source.path.endswith("/__init__.py")]
    assert facts
    assert {source.path: source.imports() for source in facts if source.imports()} == {}


def test_every_file_says_what_it_is_for() -> None:
    """Each starts with a docstring; an empty __init__.py has nothing to say."""
    import ast

    assert [source.path for source in sources() if source.text.strip() and not ast.get_docstring(source.tree)] == []
