"""A vCenter and its NSX manager for one worker, emptied after each test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.contract.model import Network, Networks
from cpi.kit.settings import Secret
from cpi_drivers.vsphere.api.nsxt.client import Nsx
from cpi_drivers.vsphere.nsxt_settings import Nsxt
from fixtures.clouds.nsxt import lab as nsx_lab
from fixtures.clouds.nsxt.lab import Lab as NsxLab
from fixtures.clouds.nsxt.seed import PASSWORD, SEGMENT, USER
from fixtures.clouds.vcsim.lab import Lab, lab
from tests.drivers.vsphere.conftest import Helper

PATIENCE = 60.0
"""Seconds in which what NSX does of itself is done, on a slow machine too."""

ALL = {
    "ns_groups": ["web servers", "dmz"],
    "lb": {"server_pools": [{"name": "static pool", "port": 8080}, {"name": "dynamic"}]},
}
"""Everything that a VM can join."""


@pytest.fixture(scope="session")
def running_vcenter() -> Iterator[Lab]:
    """One of its own: NSX puts its segments there."""
    with lab() as running:
        yield running


@pytest.fixture(scope="session")
def running_nsx(running_vcenter: Lab) -> Iterator[NsxLab]:
    """The fake and its proxy, started once."""
    with nsx_lab.lab(running_vcenter.url) as running:
        yield running


@pytest.fixture
def nsx(running_nsx: NsxLab, vcenter: Lab) -> Iterator[NsxLab]:
    """As at the beginning; nobody has logged in."""
    running_nsx.end_sessions()
    running_nsx.proxy.forget_calls()
    yield running_nsx
    running_nsx.reset()


@pytest.fixture
def config(vcenter: Lab, nsx: NsxLab) -> Callable[..., dict[str, Any]]:
    """A config document with an nsxt block, of which keys can be given."""

    def made(**own: Any) -> dict[str, Any]:
        return vcenter.config(nsxt=nsx.block(**{"realization_timeout": PATIENCE, **own}))

    return made


@pytest.fixture
def cloud(config: Callable[..., dict[str, Any]]) -> Iterator[Cloud]:
    """The driver."""
    with cpi.connect(config()) as connected:
        yield connected


def on_segment(helper: Helper, name: str = SEGMENT) -> Networks:
    """A manual network on a segment."""
    return {"default": Network(ip=helper.vcenter.address(), cloud_properties={"name": name})}


def identity(helper: Helper, cid: VmCid) -> str:
    """What NSX knows a VM by."""
    return str(helper.real(cid).config.instanceUuid)


def client(lab: NsxLab, folder: Path, **own: Any) -> Nsx:
    """NSX's client by itself."""
    return Nsx(Nsxt(host=lab.proxy.url, username=USER, password=Secret(PASSWORD), use_policy_api=True, **own), folder)
