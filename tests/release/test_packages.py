"""The packages, installed by their own scripts where there is nothing else and no network; the jobs, called in there."""

import contextlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from fixtures.clouds.aws.images import bootable_image
from fixtures.clouds.aws.lab import ZONES
from fixtures.clouds.aws.lab import lab as aws_lab
from fixtures.clouds.cloudstack.lab import lab as cloudstack_lab
from fixtures.clouds.google.images_to_upload import packed_image
from fixtures.clouds.google.lab import ZONE
from fixtures.clouds.google.lab import lab as google_lab
from fixtures.clouds.openstack import ControlPlane
from fixtures.clouds.openstack.lab import lab as openstack_lab
from fixtures.clouds.vcloud.lab import lab as vcloud_lab
from fixtures.clouds.vcsim.images import image as ovf_image
from fixtures.clouds.vcsim.lab import NETWORK
from fixtures.clouds.vcsim.lab import lab as vsphere_lab
from fixtures.release import installing
from fixtures.release.director import INSIDE, Director
from fixtures.release.rendering import laid_out, render
from release.builder import packages, python_source, wheels
from release.builder.archives import Entry, packed
from release.builder.packages import Part
from tests.release.conftest import core_archive
from tests.release.samples import NEEDED

pytestmark = pytest.mark.root
_PYTHON: Final = str(INSIDE / "packages" / packages.PYTHON / "bin" / "python3")


def _python(director: Director, code: str, *flags: str) -> str:
    done = installing.in_empty_root(director.vcap, _PYTHON, "-P", "-I", "-B", *flags, "-c", code)
    assert done.status == 0, done.stderr
    return done.stdout


def test_python_is_the_releases_own(director: Director) -> None:
    """Of the listed version, found by its place, and with what the CPI and the local cloud need."""
    code = "import bz2, ctypes, hashlib, lzma, sqlite3, ssl, sys, zlib; print(sys.version.split()[0], sys.prefix)"
    assert _python(director, code).split() == [python_source.VERSION, str(INSIDE / "packages" / packages.PYTHON)]


def test_what_was_compiled_by_the_scripts_is_not_compiled_again(director: Director) -> None:
    """A cold start is as quick as in a virtual environment: each module has its code beside it, good whatever the file's time."""
    folder = INSIDE / "packages"
    code = (
        "import importlib.util, pathlib, sys\n"
        f"files = [p for p in pathlib.Path('{folder}').rglob('*.py') if 'lib2to3' not in p.parts]\n"
        "compiled = [pathlib.Path(importlib.util.cache_from_source(str(p))) for p in files]\n"
        "heads = [c.read_bytes()[4:8] if c.exists() else None for c in compiled]\n"
        "print(len(files), [str(f) for f, h in zip(files, heads) if h != bytes([1, 0, 0, 0])])"
    )
    count, _, others = _python(director, code).partition(" ")
    assert int(count) > 1000
    assert others.strip() == "[]"


def test_every_driver_loads_and_nothing_that_it_asks_for_is_missing(director: Director) -> None:
    """As pip sees it, too: the versions fit each other."""
    code = "from cpi import registry; print(sorted(registry.load(n).name for n in registry.driver_names()))"
    assert _python(director, code).strip() == str(sorted({*wheels.CLOUDS, "local"}))
    (pip,) = (director.vcap / "packages" / packages.PYTHON).glob("lib/python3.*/ensurepip/_bundled/pip-*.whl")
    arguments = ["-I", "-B", f"{director.seen(pip)}/pip", "--disable-pip-version-check", "check"]
    done = installing.in_empty_root(director.vcap, _PYTHON, *arguments)
    assert (done.status, done.stdout.strip()) == (0, "No broken requirements found."), done


@pytest.mark.parametrize("job", NEEDED)
def test_info_is_answered_with_a_directors_environment(director: Director, job: str) -> None:
    """Nothing is written to the job or to the packages: they can be read only."""
    told = director.call(job, "info")
    assert told["api_version"] == 3
    assert told["stemcell_formats"]


def test_with_arguments_it_is_the_command(director: Director) -> None:
    """For people who look after a director."""
    done = director.run("aws_cpi", "--version")
    assert done.status == 0
    assert done.stdout.startswith("cpi ")


def test_a_wheel_that_is_not_the_listed_one_is_refused(director: Director, tarball: Path, tmp_path: Path) -> None:
    """The script fails, and installs nothing of it."""
    entries = []
    with tarfile.open(fileobj=io.BytesIO(core_archive(tarball))) as tar:
        for member in tar:
            held = tar.extractfile(member) if member.isfile() else None
            data = held.read() if held else b""
            if member.name.startswith("./wheels/") and "rich-" in member.name:
                data += b"more"
            entries.append(Entry(member.name.removeprefix("./"), data, member.mode)) if held else None
    kept = director.vcap / "packages" / packages.PYTHON
    installing.linked(kept, packages.PYTHON, tmp_path)
    done = installing.install(Part(packages.CORE, "", packed(entries, level=1)), tmp_path)
    assert done.status != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
    assert not (tmp_path / "packages" / packages.CORE / "lib").exists()


class Cloud(NamedTuple):
    """A simulated cloud, and what a VM in it is made of."""

    document: dict[str, Any]
    image: Path
    stemcell: dict[str, Any]
    vm: dict[str, Any]
    network: dict[str, Any]
    disk: dict[str, Any]


def _network(ip: str, netmask: str, gateway: str, **properties: object) -> dict[str, Any]:
    given = {"type": "manual", "ip": ip, "netmask": netmask, "gateway": gateway, "default": ["dns", "gateway"]}
    return {"default": {**given, "dns": ["10.0.0.2"], "cloud_properties": properties}}


@contextlib.contextmanager
def _aws(image: Path) -> Iterator[Cloud]:
    with aws_lab() as lab:
        zone = ZONES[0]
        network = _network(next(lab.free_addresses(zone)), "255.255.240.0", "172.31.0.1", subnet=lab.subnets()[zone])
        vm = {"instance_type": "m5.large", "availability_zone": zone}
        stemcell = {"name": "tiny", "version": "1", "disk": 1024}
        yield Cloud(lab.config(), bootable_image(image), stemcell, vm, network, {})


@contextlib.contextmanager
def _google(image: Path) -> Iterator[Cloud]:
    with google_lab() as lab:
        address = next(lab.free_addresses())
        network = _network(address, "255.255.240.0", "10.132.0.1", network_name="default", subnetwork_name="default")
        vm = {"machine_type": "e2-medium", "zone": ZONE}
        yield Cloud(lab.config(), packed_image(image), {"name": "tiny", "version": "1"}, vm, network, {"zone": ZONE})


@contextlib.contextmanager
def _cloudstack(image: Path) -> Iterator[Cloud]:
    image.write_bytes(b"QFI\xfb" + bytes(1 << 16))
    with cloudstack_lab(prompt=True) as lab:
        network = _network(lab.free_address(), "255.255.0.0", "10.16.0.1", name="bosh-net")
        stemcell = {"name": "tiny", "version": "1", "hypervisor": "kvm"}
        yield Cloud(lab.config(), image, stemcell, {"compute_offering": "small", "disk": 2000}, network, {})


@contextlib.contextmanager
def _vcloud(image: Path) -> Iterator[Cloud]:
    with vcloud_lab(prompt=True) as lab:
        network = _network(lab.free_address(), "255.255.0.0", "10.16.0.1", name="bosh-net")
        stemcell = {"name": "tiny", "version": "1"}
        yield Cloud(lab.config(), ovf_image(image), stemcell, {"cpu": 1, "ram": 512, "disk": 1024}, network, {})


@contextlib.contextmanager
def _vsphere(image: Path) -> Iterator[Cloud]:
    with vsphere_lab() as lab:
        network = _network(lab.address(), "255.255.0.0", "10.16.0.1", name=NETWORK)
        stemcell = {"name": "tiny", "version": "1"}
        yield Cloud(lab.config(), ovf_image(image), stemcell, {"cpu": 1, "ram": 512, "disk": 1024}, network, {})


@contextlib.contextmanager
def _local(image: Path) -> Iterator[Cloud]:
    with tarfile.open(image, "w:gz") as tar:
        told = tarfile.TarInfo("etc/motd")
        tar.addfile(told, io.BytesIO())
    properties = {"local": {"root": str(INSIDE / "data/cloud"), "disk_backing": "folder"}}
    (job,) = render([("cpi", {**laid_out(NEEDED["cpi"]), "properties": properties})])
    stemcell = {"name": "tiny", "version": "1", "infrastructure": "local", "disk_format": "local-tar"}
    yield Cloud(job.document, image, stemcell, {}, _network("10.244.0.10", "255.255.255.0", "10.244.0.1"), {})


_CLOUDS: Final = {
    "aws_cpi": _aws,
    "google_cpi": _google,
    "cloudstack_cpi": _cloudstack,
    "vcloud_cpi": _vcloud,
    "vsphere_cpi": _vsphere,
    "cpi": _local,
}


@pytest.mark.slow
@pytest.mark.parametrize("job", _CLOUDS)
def test_a_vm_lives_and_its_disk_outlives_it(director: Director, job: str) -> None:
    """Through the job's bin/cpi: each call is a process of its own, which knows nothing of the others."""
    with _CLOUDS[job](director.file(f"{job}-image")) as cloud:
        _live(director, job, cloud)


@pytest.mark.slow
def test_a_vm_of_openstack_lives_and_its_disk_outlives_it(director: Director, openstack_plane: ControlPlane) -> None:
    """The same in a real OpenStack, which other tests share."""
    image = director.file("openstack_cpi-image")
    image.write_bytes(bytes(1 << 20))
    with openstack_lab(openstack_plane) as lab:
        network = _network(lab.free_address(), "255.255.0.0", "10.16.0.1", net_id=lab.net_id)
        stemcell = {"name": "tiny", "version": "1", "disk_format": "raw", "container_format": "bare"}
        _live(director, "openstack_cpi", Cloud(lab.config(), image, stemcell, {"instance_type": "m1.tiny"}, network, {}))


def _live(director: Director, job: str, cloud: Cloud) -> None:
    director.configure(job, cloud.document)
    stemcell = director.call(job, "create_stemcell", director.seen(cloud.image), cloud.stemcell)
    made = director.call(job, "create_vm", "agent-1", stemcell, cloud.vm, cloud.network, [], {"bosh": {"password": "x"}})
    vm = made[0]
    disk = director.call(job, "create_disk", 1024, cloud.disk, vm)
    assert json.dumps(director.call(job, "attach_disk", vm, disk))
    assert director.call(job, "has_vm", vm) is True
    director.call(job, "detach_disk", vm, disk)
    director.call(job, "delete_vm", vm)
    assert director.call(job, "has_vm", vm) is False
    assert director.call(job, "has_disk", disk) is True
    director.call(job, "delete_disk", disk)
    assert director.call(job, "has_disk", disk) is False
    director.call(job, "delete_stemcell", stemcell)
