"""The package installed in each environment, once for all processes of a run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.clouds.openstack.environment import locked
from fixtures.installed.environments import environments
from tests.installed.installing import Installed, build, install

Install = Callable[[str], Installed]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A Python that is not on this machine is left out; the end of a run names those that were there."""
    known = environments()
    named = {item: getattr(item, "callspec", None) for item in items}
    absent = [item for item, spec in named.items() if spec and spec.params.get("installed", next(iter(known))) not in known]
    config.hook.pytest_deselected(items=absent)
    items[:] = [item for item in items if item not in absent]


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all processes of a run."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if own.name.startswith("popen-") else own) / "installed"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def distributions(shared_folder: Path) -> dict[str, Path]:
    """The wheel and the sdist, by suffix."""
    folder = shared_folder / "built"
    with locked(folder.with_suffix(".lock")):
        return {path.suffix: path for path in folder.iterdir()} if folder.exists() else build(folder)


@pytest.fixture
def installed(
    request: pytest.FixtureRequest,
    shared_folder: Path,
    distributions: dict[str, Path],
    record_property: Callable[[str, str], None],
) -> Installed:
    """In the environment that the test's parameter names."""
    known = environments()
    record_property("ran as installed", known[request.param].title)
    return install(known[request.param], distributions[".whl"], shared_folder / request.param)
