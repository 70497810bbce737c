"""A project in a real OpenStack, and a Cloud on it, for the tests of this folder that need them."""

import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cpi.connecting import connect
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, StemcellCid
from cpi.contract.model import Network, Vm
from fixtures.clouds.openstack import ControlPlane
from fixtures.clouds.openstack.accounts import PASSWORD
from fixtures.clouds.openstack.lab import Lab, lab

MakeVm = Callable[..., Vm]
Executable = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def project(openstack_plane: ControlPlane) -> Iterator[Lab]:
    """Shared by the tests of a process; each leaves it as it was."""
    with lab(openstack_plane) as found:
        yield found


@pytest.fixture(scope="session")
def image_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A disk image of nothing."""
    path = tmp_path_factory.mktemp("image") / "image"
    path.write_bytes(bytes(1 << 20))
    return str(path)


@pytest.fixture(scope="session")
def stemcell_cid(project: Lab, image_path: str) -> Iterator[StemcellCid]:
    """An image in Glance."""
    with connect(project.config()) as cloud:
        cid = cloud.create_stemcell(image_path, {"name": "tiny", "version": "1", "disk_format": "raw"}, {})
        yield cid
        cloud.delete_stemcell(cid)


@pytest.fixture(scope="session")
def vm(project: Lab, stemcell_cid: StemcellCid) -> Iterator[Vm]:
    """A VM for tests that only need one; each leaves it running, without disks and floating IP. It costs more than they do."""
    with connect(project.config()) as cloud, gone_after(cloud, vm_maker(project, stemcell_cid)(cloud)) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A cache of its own for each test."""
    return str(tmp_path / "cache")


@pytest.fixture
def cloud(project: Lab, folder: str) -> Iterator[Cloud]:
    """Logged in, with nothing counted yet. It repeats: databases of this control plane are now and then locked."""
    yield from _logged_in(project, folder, attempts=5)


@pytest.fixture
def brittle_cloud(project: Lab, folder: str) -> Iterator[Cloud]:
    """One that makes each call once, so that every fault comes through."""
    yield from _logged_in(project, folder, attempts=1)


def _logged_in(project: Lab, folder: str, *, attempts: int) -> Iterator[Cloud]:
    rule = {"default": {"max_attempts": attempts, "sleep_duration": 0.5}}
    with connect(project.config(cache_folder=folder, retry_config=rule)) as found:
        found.has_vm(AgentId("nothing"))  # type: ignore[arg-type]  # any CID will do to log in
        project.forget_calls()
        yield found


@pytest.fixture
def make_vm(project: Lab, stemcell_cid: StemcellCid) -> MakeVm:
    """A VM with one manual network; the caller deletes it."""
    return vm_maker(project, stemcell_cid)


def vm_maker(project: Lab, stemcell_cid: StemcellCid) -> MakeVm:
    """As make_vm, for another project."""

    def make(cloud: Cloud, token: str | None = None, networks: dict[str, Network] | None = None, **properties: Any) -> Vm:
        agent_id = AgentId(str(uuid.uuid4()))
        wish = {"instance_type": "m1.tiny", **properties}
        return cloud.create_vm(agent_id, stemcell_cid, wish, networks or {"default": manual(project)}, (), {}, token)

    return make


def manual(project: Lab, version: int = 4, **more: Any) -> Network:
    """A manual network with a fresh address."""
    return Network.from_document({"ip": project.free_address(version), "cloud_properties": {"net_id": project.net_id}, **more})


@pytest.fixture
def census_kept(project: Lab, stemcell_cid: StemcellCid) -> Iterator[None]:
    """The test leaves the project as it found it."""
    before = project.census()
    yield
    assert project.census() == before


@pytest.fixture
def floating_address(project: Lab) -> Iterator[str]:
    """A floating IP of the project's."""
    outside = project.sdk.network.find_network("public").id
    floating = project.sdk.network.create_ip(floating_network_id=outside)
    yield str(floating.floating_ip_address)
    project.sdk.network.delete_ip(floating.id)


@pytest.fixture
def rpc(tmp_path: Path) -> Executable:
    """One call through the executable: a cold process."""

    def call(config: dict[str, Any], method: str, *arguments: Any) -> dict[str, Any]:
        file = tmp_path / f"{uuid.uuid4()}.json"
        file.write_text(json.dumps(config), encoding="utf-8")
        context = {"director_uuid": "director", "request_id": "cpi-1"}
        request = {"method": method, "arguments": arguments, "context": context, "api_version": 3}
        command = [str(Path(sys.executable).with_name("cpi")), "rpc", "--config", str(file)]
        done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=True, timeout=300)
        assert PASSWORD not in done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return call


@contextlib.contextmanager
def gone_after(cloud: Cloud, vm: Vm) -> Iterator[Vm]:
    """The VM is deleted after the block."""
    try:
        yield vm
    finally:
        cloud.delete_vm(vm.cid)
