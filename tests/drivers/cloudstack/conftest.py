"""A CloudStack for one worker, and a driver on it; each test leaves it as it was."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, StemcellCid, VmCid
from cpi.contract.model import Network, Networks, Vm
from fixtures.clouds.cloudstack.lab import Lab, lab

Connect = Callable[..., Cloud]

STEMCELL = StemcellCid("light-kvm light")


@pytest.fixture(scope="session")
def running_lab() -> Iterator[Lab]:
    """The fake and the proxy, started once; no test waits for a job that somebody looks at."""
    with lab(prompt=True) as running:
        yield running


@pytest.fixture
def cloudstack(running_lab: Lab) -> Iterator[Lab]:
    """Nothing counted, no rules; and nothing more there afterwards than before."""
    before = running_lab.census()
    running_lab.proxy.withdraw_all()
    running_lab.proxy.forget_calls()
    yield running_lab
    running_lab.proxy.withdraw_all()
    assert running_lab.census() == before


@pytest.fixture
def connect(cloudstack: Lab, tmp_path: Path) -> Iterator[Connect]:
    """A driver with settings of its own; its cache knows the zones already."""
    opened: list[Cloud] = []

    def connected(**own: Any) -> Cloud:
        settings = {"cache_folder": str(tmp_path / "cache"), "retry_interval": 0.1, **own}
        opened.append(cpi.connect(cloudstack.config(**settings)))
        opened[-1].has_vm(VmCid("nothing"))
        cloudstack.proxy.forget_calls()
        return opened[-1]

    yield connected
    for cloud in opened:
        cloud.close()


@pytest.fixture
def cloud(connect: Connect) -> Cloud:
    """The driver."""
    return connect()


class Helper:
    """Short ways to make things; VMs go at the end."""

    def __init__(self, cloudstack: Lab) -> None:
        self.cloudstack = cloudstack
        self.made: list[tuple[Cloud, VmCid]] = []

    def manual(self, name: str = "bosh-net", prefix: str = "10.16", **more: Any) -> Network:
        """A manual network with an address of its own."""
        return Network.from_document({"ip": self.cloudstack.free_address(prefix), "cloud_properties": {"name": name}, **more})

    def vm(
        self,
        cloud: Cloud,
        networks: Networks | None = None,
        *,
        stemcell: str = STEMCELL,
        env: dict[str, Any] | None = None,
        token: str | None = None,
        **properties: Any,
    ) -> Vm:
        """A VM."""
        wanted = {"compute_offering": "small", **properties}
        agent_id = AgentId(str(uuid.uuid4()))
        networks = networks or {"default": self.manual()}
        made = cloud.create_vm(agent_id, StemcellCid(stemcell), wanted, networks, (), env, token)
        self.made.append((cloud, made.cid))
        return made

    def passing_vm(self, cloud: Cloud, token: str) -> VmCid:
        """One that the test deletes itself."""
        cid = self.vm(cloud, token=token).cid
        self.made.pop()
        return cid

    def seen(self, vm: Vm) -> dict[str, Any]:
        """As the cloud tells it."""
        return self.cloudstack.one("listVirtualMachines", vm.cid)


@pytest.fixture
def helper(cloudstack: Lab, connect: Connect) -> Iterator[Helper]:
    """VMs made with it are deleted after the test."""
    found = Helper(cloudstack)
    yield found
    cloudstack.proxy.withdraw_all()
    for cloud, cid in found.made:
        cloud.delete_vm(cid)
