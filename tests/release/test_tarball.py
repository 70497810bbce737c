"""The release's tarball: what BOSH finds in it, and that the same sources give the same bytes."""

import io
import json
import re
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from packaging.utils import canonicalize_name, parse_wheel_filename

from fixtures.release.rendering import JOBS, ROOT, spec
from release.builder import cache, jobs, packages, python_source, wheels
from release.builder.__main__ import main
from release.builder.archives import PROGRAM, Entry, fingerprint, packed
from tests.house.test_project import _CORE, _EXTRAS, _constraints
from tests.release.conftest import CLOUDS

LISTS: Final = (wheels.CORE, *wheels.CLOUDS)
_PINNED: Final = re.compile(r"(?P<name>\S+)==(?P<version>\S+) --hash=sha256:[0-9a-f]{64}")


def _files(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        held = ((member.name.removeprefix("./"), tar.extractfile(member)) for member in tar if member.isfile())
        return {name: file.read() for name, file in held if file}


@pytest.fixture(scope="module")
def content(tarball: Path) -> dict[str, bytes]:
    """The tarball's files."""
    return _files(tarball.read_bytes())


@pytest.fixture
def manifest(content: dict[str, bytes]) -> dict[str, Any]:
    """release.MF."""
    read: dict[str, Any] = yaml.safe_load(content["release.MF"])
    return read


def test_the_manifest_names_the_release(manifest: dict[str, Any]) -> None:
    """And the commit that it is of."""
    assert (manifest["name"], manifest["version"]) == ("multicpi", "1.2.3")
    assert isinstance(manifest["commit_hash"], str)
    assert isinstance(manifest["uncommitted_changes"], bool)


def test_everything_in_it_is_listed_with_its_checksum(content: dict[str, bytes], manifest: dict[str, Any]) -> None:
    """And everything listed is in it."""
    listed = {f"{kind}/{part['name']}.tgz": part for kind in ("jobs", "packages") for part in manifest[kind]}
    listed["license.tgz"] = manifest["license"]
    assert content.keys() - {"release.MF"} == listed.keys()
    assert {name: part["sha1"] for name, part in listed.items()} == {
        name: f"sha256:{sha256(content[name]).hexdigest()}" for name in listed
    }
    assert [part for part in listed.values() if part["version"] != part["fingerprint"]] == []


def test_a_director_with_one_cloud_carries_one_cloud(manifest: dict[str, Any]) -> None:
    """Its job, CPython, the core and its own libraries; each package comes after what it needs."""
    assert [job["name"] for job in manifest["jobs"]] == [jobs.job_of(CLOUDS)]
    assert [package["name"] for package in manifest["packages"]] == ["multicpi_python", "multicpi", "multicpi_vcloud"]
    seen: set[str] = set()
    for package in manifest["packages"]:
        assert set(package["dependencies"]) <= seen
        seen.add(package["name"])


def test_a_job_holds_the_templates_that_its_spec_names(content: dict[str, bytes]) -> None:
    """All that is in its folder, the schema of its properties too; and a monit file: nothing runs beside the director."""
    files = _files(content[f"jobs/{jobs.job_of(CLOUDS)}.tgz"])
    folder = JOBS / jobs.job_of(CLOUDS)
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files.keys() == {"job.MF" if name == "spec" else name for name in there}
    assert json.loads(files["properties_schema.json"])["type"] == "object"
    read = yaml.safe_load(files["job.MF"])
    assert read == spec(jobs.job_of(CLOUDS))
    assert files.keys() >= {"job.MF", "monit", *(f"templates/{name}" for name in read["templates"])}
    assert files["monit"] == b""


def test_a_package_holds_the_wheels_that_it_lists(content: dict[str, bytes]) -> None:
    """With their digests: pip takes nothing else."""
    for name in ("multicpi", "multicpi_vcloud"):
        files = _files(content[f"packages/{name}.tgz"])
        digests = sorted(sha256(data).hexdigest() for path, data in files.items() if path.startswith("wheels/"))
        assert sorted(re.findall(r"sha256:(\w+)", files["requirements.txt"].decode())) == digests
        assert digests
        assert "packaging" in files


def test_every_job_takes_packages_that_there_are() -> None:
    """The generic one takes those of all clouds."""
    every = {packages.PYTHON, packages.CORE, *map(packages.package_of, wheels.CLOUDS)}
    taken = {path.name: set(spec(path.name)["packages"]) for path in JOBS.iterdir()}
    assert taken == {
        jobs.GENERIC: every,
        **{jobs.job_of(cloud): {packages.PYTHON, packages.CORE, packages.package_of(cloud)} for cloud in wheels.CLOUDS},
    }


def test_the_same_sources_give_the_same_bytes(tarball: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every archive is packed anew, CPython's too."""
    kept = cache.folder()
    for name in ("sources", "wheels"):
        (tmp_path / "cache").mkdir(exist_ok=True)
        (tmp_path / "cache" / name).symlink_to(kept / name)
    monkeypatch.setenv("MULTICPI_RELEASE_CACHE", str(tmp_path / "cache"))
    main(["--clouds", CLOUDS, "--version", "1.2.3", "--output", str(tmp_path / "again")])
    (again,) = (tmp_path / "again").glob("*.tgz")
    assert again.name == tarball.name
    assert sha256(again.read_bytes()).hexdigest() == sha256(tarball.read_bytes()).hexdigest()


def test_the_order_of_files_is_not_in_the_bytes() -> None:
    """The content, the name and the mode are, and so is what a package needs."""
    files = [Entry("a/b", b"1"), Entry("c", b"2", PROGRAM)]
    assert packed(files) == packed(reversed(files))
    assert fingerprint("n", files) == fingerprint("n", reversed(files))
    others = [[Entry("a/b", b"2"), files[1]], [Entry("a/d", b"1"), files[1]], [files[0], Entry("c", b"2")], files[:1]]
    known = {fingerprint("n", files), fingerprint("m", files), fingerprint("n", files, ["d"])}
    assert len({*known, *(fingerprint("n", other) for other in others)}) == len(known) + len(others)


@pytest.mark.parametrize("name", LISTS)
def test_no_wheel_needs_a_newer_glibc_than_stemcells_have(name: str) -> None:
    """Nor another Python than the release's."""
    fetched = wheels.fetched(name)
    assert [wheel.name for wheel in fetched if wheels.glibc_of(wheel) > wheels.NEWEST_GLIBC] == []
    tags = {tag for wheel in fetched for tag in parse_wheel_filename(wheel.name)[3]}
    assert {tag.platform for tag in tags if not tag.platform.startswith("manylinux")} <= {"any"}
    minor = "".join(python_source.VERSION.split(".")[:2])
    assert {tag.interpreter for tag in tags if tag.abi.startswith("cp")} <= {f"cp{minor}"}


@pytest.mark.parametrize("name", LISTS)
def test_the_wheels_are_those_that_the_tests_ran_with(name: str) -> None:
    """Each has the version of constraints.txt; everything that the core and the extra ask for is there."""
    lines = [line for line in wheels.requirements(name).decode().splitlines() if not line.startswith("#")]
    matched = [_PINNED.fullmatch(line) for line in lines]
    listed = {canonicalize_name(match["name"]): match["version"] for match in matched if match}
    assert len(listed) == len(lines)
    pins = {name: str(version) for name, version in _constraints().items()}
    assert listed == {name: pins[name] for name in listed}
    asked = _CORE if name == wheels.CORE else _EXTRAS[name]
    core = re.findall(r"^(\S+)==", wheels.requirements(wheels.CORE).decode(), re.MULTILINE)
    assert {canonicalize_name(one.name) for one in asked} - listed.keys() - set(core) == set()


def test_another_source_than_the_listed_one_is_refused(tmp_path: Path) -> None:
    """Its digest is told."""
    other = tmp_path / "Python.tar.xz"
    other.write_bytes(b"something else")
    with pytest.raises(SystemExit) as ended:
        main(["--clouds", CLOUDS, "--python-source", str(other), "--output", str(tmp_path)])
    assert "is not the source of CPython" in str(ended.value)
    assert sha256(b"something else").hexdigest() in str(ended.value)
    assert list(tmp_path.glob("*.tgz")) == []


def test_a_cloud_that_there_is_not_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """With those that there are."""
    with pytest.raises(SystemExit):
        main(["--clouds", "aws,azure"])
    assert "unknown: azure; known: aws, cloudstack, google" in capsys.readouterr().err


def test_everything_is_in_the_release() -> None:
    """Each cloud with an extra, and a job and a list of wheels for each."""
    assert set(wheels.CLOUDS) == _EXTRAS.keys() - {"all", "conformance", "dev", "durable", "migration", "nats", "watch"}
    assert {path.name for path in JOBS.iterdir()} == {jobs.GENERIC, *map(jobs.job_of, wheels.CLOUDS)}
    assert {path.stem for path in (ROOT / "release/wheels").iterdir()} == set(LISTS)
