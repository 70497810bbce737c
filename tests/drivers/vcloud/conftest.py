"""A vCloud for one worker, and a driver on it; each test leaves it as it was."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, StemcellCid, VmCid
from cpi.contract.model import Network, Networks, Vm
from fixtures.clouds.vcloud.lab import Lab, lab

Connect = Callable[..., Cloud]

SMALL = {"cpu": 1, "ram": 512}


@pytest.fixture(scope="session")
def running_lab() -> Iterator[Lab]:
    """The fake and the proxy, started once; no test waits for a task that somebody looks at."""
    with lab(prompt=True) as running:
        yield running


@pytest.fixture
def vcloud(running_lab: Lab) -> Iterator[Lab]:
    """Nothing counted, no rules; and nothing more there afterwards than before."""
    running_lab.settle()
    before = running_lab.census()
    running_lab.proxy.withdraw_all()
    running_lab.proxy.forget_calls()
    yield running_lab
    running_lab.proxy.withdraw_all()
    running_lab.settle()
    assert running_lab.census() == before


@pytest.fixture
def connect(vcloud: Lab, tmp_path: Path) -> Iterator[Connect]:
    """A driver with settings of its own."""
    opened: list[Cloud] = []

    def connected(*, entities: dict[str, Any] | None = None, **own: Any) -> Cloud:
        settings = {"cache_folder": str(tmp_path / "cache"), **own}
        settings["control"] = {"retry_delay": 0.01, "wait_delay": 0.2, "wait_max": 20, **own.get("control", {})}
        document = vcloud.config(**settings)
        document["cloud"]["properties"]["vcd"]["entities"] |= entities or {}
        opened.append(cpi.connect(document))
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

    def __init__(self, vcloud: Lab) -> None:
        self.vcloud = vcloud
        self.stemcell = StemcellCid(f"{vcloud.one('catalog_items', 'light-stemcell')['urn']} light")
        self.made: list[tuple[Cloud, VmCid]] = []

    def manual(self, **more: Any) -> Network:
        """A manual network with an address of its own."""
        return Network.from_document({"ip": self.vcloud.free_address(), "cloud_properties": {"name": "bosh-net"}, **more})

    def vm(
        self,
        cloud: Cloud,
        networks: Networks | None = None,
        *,
        env: dict[str, Any] | None = None,
        token: str | None = None,
        disks: tuple[Any, ...] = (),
        stemcell: StemcellCid | None = None,
        **properties: Any,
    ) -> Vm:
        """A VM."""
        wanted = {**SMALL, **properties}
        agent_id = AgentId(str(uuid.uuid4()))
        networks = networks or {"default": self.manual()}
        made = cloud.create_vm(agent_id, stemcell or self.stemcell, wanted, networks, disks, env, token)
        self.made.append((cloud, made.cid))
        return made

    def passing_vm(self, cloud: Cloud, token: str) -> VmCid:
        """One that the test deletes itself."""
        cid = self.vm(cloud, token=token).cid
        self.made.pop()
        return cid

    def seen(self, vm: Vm) -> dict[str, Any]:
        """As the cloud holds it."""
        return self.vcloud.one("vms", vm.cid)


@pytest.fixture
def helper(vcloud: Lab, connect: Connect) -> Iterator[Helper]:
    """VMs made with it are deleted after the test."""
    found = Helper(vcloud)
    yield found
    vcloud.proxy.withdraw_all()
    for cloud, cid in found.made:
        cloud.delete_vm(cid)
