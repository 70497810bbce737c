"""An AWS for one worker, emptied before each test."""

from collections.abc import Iterator

import botocore.session
import pytest
from botocore.loaders import create_loader

import cpi
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, StemcellCid
from cpi.contract.model import Network, Networks, Vm
from fixtures.clouds.aws import moto, truth
from fixtures.clouds.aws.lab import ZONES, Lab, lab


@pytest.fixture(scope="session")
def running_lab() -> Iterator[Lab]:
    """moto and the proxy, started once."""
    with lab() as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def sdk_documents() -> Iterator[None]:
    """The SDK's descriptions of AWS's services are read once, not by each connection: the longest part of making one."""
    loader = create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda _: loader)
        yield


@pytest.fixture
def aws(running_lab: Lab, tmp_path: str, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """An empty region."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return emptied(running_lab)


def emptied(running_lab: Lab) -> Lab:
    """As when it was started."""
    moto.reset(running_lab.moto_url)
    running_lab.proxy.withdraw_all()
    running_lab.proxy.inject(*truth.rules(running_lab.ec2))
    running_lab.ec2.describe_subnets()
    running_lab.proxy.forget_calls()
    return running_lab


@pytest.fixture
def cloud(aws: Lab) -> Iterator[Cloud]:
    """The driver."""
    with cpi.connect(aws.config()) as connected:
        yield connected


class Helper:
    """Short ways to make things."""

    def __init__(self, aws: Lab, cloud: Cloud) -> None:
        self.aws, self.cloud = aws, cloud
        self.stemcell = StemcellCid(f"{aws.make_ami()} light")
        self._addresses = aws.free_addresses(ZONES[0])
        self.subnet = aws.subnets()[ZONES[0]]

    def manual(self) -> Networks:
        """One manual network with an address of its own."""
        return {"default": Network(ip=next(self._addresses), cloud_properties={"subnet": self.subnet})}

    def vm(self, *, networks: Networks | None = None, token: str | None = None, **properties: object) -> Vm:
        """A VM."""
        wanted = {"instance_type": "m5.large", **properties}
        return self.cloud.create_vm(AgentId("agent"), self.stemcell, wanted, networks or self.manual(), (), {}, token)


@pytest.fixture
def helper(aws: Lab, cloud: Cloud) -> Helper:
    """A stemcell and a network to make VMs with."""
    made = Helper(aws, cloud)
    aws.proxy.forget_calls()
    return made
