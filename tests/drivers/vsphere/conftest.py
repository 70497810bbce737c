"""A vCenter for one worker, emptied after each test."""

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, StemcellCid, VmCid
from cpi.contract.model import Env, Network, Networks, Vm
from fixtures.clouds.vcsim.answers import fault
from fixtures.clouds.vcsim.images import image
from fixtures.clouds.vcsim.lab import NETWORK, Lab, lab
from fixtures.proxy import Request, Rule, effects

MOST_CALLS = 60
Counted = Callable[[Callable[[], object]], Counter[str]]


@pytest.fixture(scope="session")
def running_vcenter() -> Iterator[Lab]:
    """vcsim and the proxy, started once."""
    with lab() as running:
        yield running


@pytest.fixture(scope="session")
def image_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stemcell's image."""
    return image(tmp_path_factory.mktemp("image") / "image")


@pytest.fixture
def vcenter(running_vcenter: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """An empty one; nobody has logged in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield running_vcenter
    running_vcenter.proxy.withdraw_all()
    for vm in running_vcenter.all(vim.VirtualMachine):
        if vm.runtime.powerState == "poweredOn":
            running_vcenter.end(vm.PowerOffVM_Task())
        running_vcenter.end(vm.Destroy_Task())
    for name, folder in running_vcenter.folders().items():
        for path in folder.iterdir():
            running_vcenter.remove(f"[{name}] {path.name}")


@pytest.fixture
def cloud(vcenter: Lab) -> Iterator[Cloud]:
    """The driver."""
    with cpi.connect(vcenter.config()) as connected:
        yield connected


class Helper:
    """Short ways to make things."""

    def __init__(self, vcenter: Lab, cloud: Cloud, stemcell: StemcellCid) -> None:
        self.vcenter, self.cloud, self.stemcell = vcenter, cloud, stemcell

    def manual(self) -> Networks:
        """One manual network with an address of its own."""
        return {"default": Network(ip=self.vcenter.address(), cloud_properties={"name": NETWORK})}

    def vm(
        self,
        *,
        networks: Networks | None = None,
        token: str | None = None,
        env: Env | None = None,
        cloud: Cloud | None = None,
        **properties: object,
    ) -> Vm:
        """A VM."""
        wanted = {"cpu": 1, "ram": 512, "disk": 1024, **properties}
        maker = cloud or self.cloud
        return maker.create_vm(AgentId("agent"), self.stemcell, wanted, networks or self.manual(), (), env or {}, token)

    def real(self, vm_cid: VmCid) -> Any:
        """What the vCenter has of a VM."""
        return self.vcenter.vm(vm_cid)


@pytest.fixture
def helper(vcenter: Lab, cloud: Cloud, image_path: Path) -> Helper:
    """A stemcell and a network to make VMs with."""
    return Helper(vcenter, cloud, cloud.create_stemcell(str(image_path), {}, {}))


@pytest.fixture
def counted(vcenter: Lab) -> Counted:
    """Counts the calls of what is done; looks at tasks are left out, names of files too."""
    return functools.partial(calls_of, vcenter)


def calls_of(vcenter: Lab, action: Callable[[], object]) -> Counter[str]:
    """The calls that something makes."""
    vcenter.proxy.forget_calls()
    action()
    return Counter(_action(call.request) for call in vcenter.proxy.calls if not is_poll(call.request))


def is_poll(request: Request) -> bool:
    """A look at a task."""
    return request.action == "RetrievePropertiesEx" and b"<type>Task</type>" in request.body


def _action(request: Request) -> str:
    return f"{request.method} file" if request.path.startswith("/folder/") else request.action


def each_call(vcenter: Lab, action: Callable[[], object], check: Callable[[int, errors.Error], None]) -> int:
    """Runs action with its first call failing, then its second, until it makes no more; how many there were."""
    for k in itertools.count():
        assert k < MOST_CALLS, "it never ends"
        rule = Rule("*", effects.answer(500, fault("SystemError").body), skip=k, times=1)
        vcenter.proxy.inject(rule)
        try:
            action()
        except errors.Error as error:
            vcenter.proxy.withdraw(rule)
            _was_injected(error)
            check(k, error)
        else:
            vcenter.proxy.withdraw(rule)
            if not rule.met:
                return k
    raise AssertionError


def _was_injected(error: errors.Error) -> None:
    assert "SystemError" in error.message or "answered 500" in error.message, error.message
