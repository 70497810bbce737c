"""Which flavours serve, to the MiB: the figures are told by the test, on loopback."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.model import VmResources
from cpi.contract.units import MiB
from cpi_drivers.openstack.vms.flavors import Flavors
from fixtures.web_server import web_server
from tests.drivers.openstack.stub import Stub, connected


@pytest.fixture
def stub() -> Iterator[Stub]:
    """Running."""
    told = Stub()
    with web_server(told) as told.url:
        yield told


@pytest.fixture
def cloud(stub: Stub, tmp_path: Path) -> Iterator[Cloud]:
    """The driver."""
    with connected(stub, tmp_path) as found:
        yield found


def _flavor(name: str, cpus: int, ram: int, disk: int, ephemeral: int) -> dict[str, Any]:
    return {"id": name, "name": name, "vcpus": cpus, "ram": ram, "disk": disk, "OS-FLV-EXT-DATA:ephemeral": ephemeral, "swap": 0}


def _chosen(stub: Stub, cloud: Cloud, flavor: dict[str, Any], cpu: int, ram: int, disk: int) -> bool:
    stub.answers["GET /nova/v2/flavors/detail"] = {"flavors": [flavor]}
    try:
        properties = cloud.calculate_vm_cloud_properties(VmResources(cpu=cpu, ram=MiB(ram), ephemeral_disk_size=MiB(disk)))
    except errors.NotSupported:
        return False
    return bool(properties["instance_type"] == flavor["name"])


@pytest.mark.parametrize(
    ("ephemeral", "disk"), [pytest.param(4, 4096, id="ephemeral disk"), pytest.param(0, 10 * 1024, id="root disk alone")]
)
def test_a_flavour_that_has_just_what_is_wished_serves(stub: Stub, cloud: Cloud, ephemeral: int, disk: int) -> None:
    """One more of anything, and it does not."""
    flavor = _flavor("just", 2, 2048, 10, ephemeral)
    assert _chosen(stub, cloud, flavor, 2, 2048, disk)
    for more in ((3, 2048, disk), (2, 2049, disk), (2, 2048, disk + 1)):
        assert not _chosen(stub, cloud, flavor, *more)


@pytest.mark.parametrize(("ram", "serves"), [(2048, True), (2049, False)])
def test_an_ephemeral_disk_of_just_twice_the_memory_is_large_enough(stub: Stub, cloud: Cloud, ram: int, *, serves: bool) -> None:
    """It holds swap and data: a flavour with less is neither chosen nor taken by its name."""
    client: Any = SimpleNamespace(pages=lambda *_: [_flavor("just", 1, ram, 10, 4)])
    with contextlib.nullcontext() if serves else pytest.raises(errors.CloudError, match="at least twice its memory"):
        assert [found["name"] for found in Flavors(client).named(["just"])] == ["just"]
    assert _chosen(stub, cloud, _flavor("just", 1, ram, 10, 4), 1, 1, 1) is serves
