"""A release, built once for all processes of a run."""

import tarfile
from pathlib import Path

import pytest

from fixtures.clouds.openstack.environment import locked
from fixtures.release import installing
from fixtures.release.director import Director
from fixtures.release.rendering import laid_out, render
from release.builder import packages, wheels
from release.builder.__main__ import main
from release.builder.packages import Part
from tests.release.samples import NEEDED

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


@pytest.fixture(scope="session")
def director(tmp_path_factory: pytest.TempPathFactory, tarball: Path) -> Director:
    """With every package and every job; the project's own package is that of the tarball."""
    vcap = tarball.parent / "vcap"
    made = Director(vcap)
    with locked(vcap.with_suffix(".lock")):
        if not vcap.exists():
            building = vcap.with_name("building")
            install_all(building, tarball)
            building.rename(vcap)
    return made


def install_all(vcap: Path, tarball: Path) -> None:
    """CPython and the clouds' libraries from the cache, the core by its script."""
    python = installing.kept(packages.python())
    installing.linked(python, packages.PYTHON, vcap)
    done = installing.install(Part(packages.CORE, "", core_archive(tarball)), vcap)
    assert (done.status, done.stdout, done.stderr) == (0, "", "")
    for cloud in wheels.CLOUDS:
        installing.linked(installing.kept(packages.libraries(cloud), [python]), packages.package_of(cloud), vcap)
    director = Director(vcap)
    for name, job in zip(NEEDED, render((name, laid_out(flat)) for name, flat in NEEDED.items()), strict=True):
        director.add_job(name, job)


def core_archive(tarball: Path) -> bytes:
    """The package of the project itself."""
    with tarfile.open(tarball) as tar:
        held = tar.extractfile(f"./packages/{packages.CORE}.tgz")
        assert held is not None
        return held.read()
