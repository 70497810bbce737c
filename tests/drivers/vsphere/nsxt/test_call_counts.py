"""How many calls to NSX each method makes: exact, and the same however many groups, pools and ports there are."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract.ids import VmCid
from cpi.contract.model import NetworkDefinition
from fixtures.clouds.nsxt.lab import Lab as NsxLab
from fixtures.clouds.nsxt.lab import lab as nsx_lab
from fixtures.clouds.nsxt.seed import ROUTER, ZONE
from fixtures.clouds.vcsim.lab import Lab, lab
from tests.drivers.vsphere.conftest import Helper, calls_of
from tests.drivers.vsphere.nsxt.conftest import ALL, PATIENCE, on_segment

pytestmark = pytest.mark.slow

_JOINED = {"GET groups/{id}": 3, "PUT groups/{id}": 3, "GET lb-pools/{id}": 1, "PUT lb-pools/{id}": 1}
_PORT = {"GET fabric/vifs": 1, "GET search SegmentPort": 1, "GET segments/{id}/ports/{id}": 1, "PUT segments/{id}/ports/{id}": 1}
_NAMED = {"GET search Group": 1, "GET search LBPool": 1}
_DEFINITION = NetworkDefinition(range="10.9.0.0/24", cloud_properties={"t0_router_id": ROUTER, "transport_zone_id": ZONE})


def test_every_method_keeps_its_number(vcenter: Lab, nsx: NsxLab, helper: Helper, config: Callable[..., dict[str, Any]]) -> None:
    """Each by a process of its own, with a session that was kept."""
    _proven(vcenter, nsx, helper, config())


def test_with_1000_groups_pools_and_ports_every_method_makes_the_same_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_path: Path
) -> None:
    """As with few."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with lab() as vcenter, nsx_lab(vcenter.url, "--crowd", "1000") as nsx:
        config = vcenter.config(nsxt=nsx.block(realization_timeout=PATIENCE))
        with cpi.connect(config) as cloud:
            _proven(vcenter, nsx, Helper(vcenter, cloud, cloud.create_stemcell(str(image_path), {}, {})), config)
        assert nsx.census()["NSX Group"] == 1003


def _proven(vcenter: Lab, nsx: NsxLab, helper: Helper, config: dict[str, Any]) -> None:
    helper.cloud.delete_vm(helper.vm(nsxt=ALL).cid)
    vms: list[str] = []

    def calls(action: Callable[[cpi.Cloud], object]) -> Counter[str]:
        with cpi.connect(config) as cloud:
            nsx.proxy.forget_calls()
            action(cloud)
            return nsx.calls()

    def make(cloud: cpi.Cloud, **nsxt: Any) -> None:
        vms.append(helper.vm(cloud=cloud, networks=on_segment(helper), nsxt=nsxt).cid)

    assert calls(lambda cloud: make(cloud, **ALL)) == {**_NAMED, **_JOINED}
    assert calls(lambda cloud: make(cloud, vif_type="PARENT")) == _PORT
    assert calls(make) == {}
    assert calls(lambda cloud: cloud.has_vm(VmCid(vms[0]))) == {}
    assert calls(lambda cloud: cloud.set_vm_metadata(VmCid(vms[0]), {"job": "db"})) == _PORT
    assert calls(lambda cloud: cloud.delete_vm(VmCid(vms[0]))) == _JOINED
    assert calls(lambda cloud: cloud.delete_vm(VmCid(vms[2]))) == {}
    assert calls(lambda cloud: cloud.info()) == {}
    _proven_of_unknown(vcenter, helper, calls)
    made: list[Any] = []
    assert calls(lambda cloud: made.append(cloud.create_network(_DEFINITION))) == {"PUT tier-1s/{id}": 1, "PUT segments/{id}": 1}
    gone = ("segments/{id}", "tier-1s/{id}", "ip-pools/{id}/ip-subnets/{id}", "ip-pools/{id}")
    expected = {"GET segments/{id}": 1, **{f"DELETE {what}": 1 for what in gone}}
    assert calls(lambda cloud: cloud.delete_network(made[0].cid)) == expected


def _proven_of_unknown(vcenter: Lab, helper: Helper, calls: Callable[[Callable[[cpi.Cloud], object]], Counter[str]]) -> None:
    """A VM that another CPI has made."""
    with cpi.connect(vcenter.config()) as other:
        vm = helper.vm(cloud=other).cid
    expected = {"GET virtual-machine-group-associations": 1, "GET search LBPool": 1}
    assert calls(lambda cloud: cloud.delete_vm(vm)) == expected


def test_the_vcenter_is_asked_once_more(vcenter: Lab, nsx: NsxLab, helper: Helper) -> None:
    """What NSX knows the VM by; nothing more than that while it is deleted."""
    helper.cloud.delete_vm(helper.vm().cid)
    vms = [helper.vm().cid, helper.vm(nsxt=ALL).cid]
    assert _looks(vcenter, lambda: helper.vm(nsxt=ALL)) == _looks(vcenter, helper.vm) + 1
    assert _looks(vcenter, lambda: helper.cloud.delete_vm(vms[1])) == _looks(vcenter, lambda: helper.cloud.delete_vm(vms[0]))


def _looks(vcenter: Lab, action: Callable[[], object]) -> int:
    return calls_of(vcenter, action).total()
