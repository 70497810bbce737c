"""A release, built once for all processes of a run."""

from pathlib import Path

import pytest

from fixtures.clouds.openstack.environment import locked
from release.builder.__main__ import main

CLOUDS = "vcloud"


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For one cloud."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if own.name.startswith("popen-") else own) / "release"
    with locked(folder.with_suffix(".lock")):
        if not folder.exists():
            main(["--clouds", CLOUDS, "--version", "1.2.3", "--output", str(folder)])
    (made,) = folder.glob("*.tgz")
    return made
