"""Exactly the k-th call to NSX fails, for every k; answers get lost; NSX is busy: nothing is left behind, a repeat serves."""

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.model import NetworkDefinition
from cpi_drivers.vsphere.api.errors import AnswerLost, Unreached
from cpi_drivers.vsphere.api.nsxt.errors import NsxRefused
from cpi_drivers.vsphere.api.nsxt.naming import POLICY
from fixtures.clouds.nsxt.lab import Lab as NsxLab
from fixtures.clouds.nsxt.seed import BLOCK, ROUTER, ZONE
from fixtures.proxy import Effect, Rule, effects
from fixtures.simulated_time import SimulatedTime
from tests.drivers.vsphere.conftest import Helper
from tests.drivers.vsphere.nsxt.conftest import ALL, client, identity, on_segment

pytestmark = pytest.mark.slow

_MOST_CALLS = 60
_SAID = json.dumps({"error_code": 500030, "error_message": "injected", "module_name": "policy"}).encode()
_REFUSAL = effects.answer(400, _SAID)
_GROUP = f"{POLICY}/infra/domains/default/groups/dmz"
_SIZED = NetworkDefinition(
    netmask_bits=26, cloud_properties={"t0_router_id": ROUTER, "transport_zone_id": ZONE, "ip_block_id": BLOCK}
)


def _each_call(nsx: NsxLab, action: Callable[[], object], check: Callable[[int, errors.Error], None]) -> int:
    """Runs action with its first call to NSX refused, then its second, until it makes no more; how many there were."""
    for k in itertools.count():
        assert k < _MOST_CALLS, "it never ends"
        rule = Rule("*", _REFUSAL, skip=k, times=1)
        nsx.proxy.inject(rule)
        try:
            action()
        except errors.Error as error:
            nsx.proxy.withdraw(rule)
            _was_injected(error)
            check(k, error)
        else:
            nsx.proxy.withdraw(rule)
            if not rule.met:
                return k
    raise AssertionError


def _was_injected(error: errors.Error) -> None:
    assert "injected" in error.message, error.message


def _whole(nsx: NsxLab, helper: Helper) -> Mapping[str, int]:
    counts = {**nsx.census(), **helper.vcenter.census()}
    return {name: count for name, count in counts.items() if count}


@pytest.mark.timeout(180)
def test_create_vm_leaves_nothing_whichever_call_fails(nsx: NsxLab, helper: Helper) -> None:
    """Neither in NSX nor in the vCenter, and the same token makes the VM afterwards."""
    wanted = {**ALL, "vif_type": "PARENT"}
    helper.cloud.delete_vm(helper.vm(networks=on_segment(helper), nsxt=wanted).cid)
    before = _whole(nsx, helper)
    made: list[str] = []

    def check(k: int, error: errors.Error) -> None:
        assert _whole(nsx, helper) == before, f"the failing call number {k} left something: {error.message}"

    def create() -> None:
        made.append(helper.vm(networks=on_segment(helper), nsxt=wanted, token="the token").cid)  # noqa: S106 - not secret

    assert _each_call(nsx, create, check) >= 14
    assert len(set(made)) == 1


@pytest.mark.timeout(180)
def test_delete_vm_is_finished_by_a_repeat_whichever_call_fails(nsx: NsxLab, helper: Helper) -> None:
    """The failure is told while the VM is still there, and so are its memories."""
    before = _whole(nsx, helper)
    for k in range(_MOST_CALLS):
        vm = helper.vm(nsxt=ALL).cid
        rule = Rule("*", _REFUSAL, skip=k, times=1)
        nsx.proxy.inject(rule)
        try:
            helper.cloud.delete_vm(vm)
        except errors.CloudError as error:
            _was_injected(error)
            assert helper.cloud.has_vm(vm)
            helper.cloud.delete_vm(vm)
        nsx.proxy.withdraw(rule)
        assert _whole(nsx, helper) == before
        if not rule.met:
            assert k == 8
            return
    pytest.fail("it never ends")


def test_create_network_leaves_nothing_whichever_call_fails(nsx: NsxLab, helper: Helper, cloud: Cloud) -> None:
    """No pool, no gateway, no segment."""
    before = _whole(nsx, helper)

    def check(k: int, error: errors.Error) -> None:
        assert _whole(nsx, helper) == before, f"the failing call number {k} left something: {error.message}"

    assert _each_call(nsx, lambda: cloud.create_network(_SIZED), check) == 5


def test_delete_network_is_finished_by_a_repeat_whichever_call_fails(nsx: NsxLab, helper: Helper, cloud: Cloud) -> None:
    """Whether the segment is gone already or not."""
    before = _whole(nsx, helper)
    for k in range(_MOST_CALLS):
        network = cloud.create_network(_SIZED)
        rule = Rule("*", effects.answer(403, _SAID), skip=k, times=2)
        nsx.proxy.inject(rule)
        try:
            cloud.delete_network(network.cid)
        except errors.CloudError:
            nsx.proxy.withdraw(rule)
            cloud.delete_network(network.cid)
        nsx.proxy.withdraw(rule)
        assert _whole(nsx, helper) == before
        if not rule.met:
            assert k == 5
            return
    pytest.fail("it never ends")


@pytest.mark.parametrize("action", ["PUT groups/{id}", "PUT lb-pools/{id}", "PUT segments/{id}/ports/{id}", "GET search Group"])
@pytest.mark.parametrize("effect", [effects.lost_answer(), effects.instead(500, b""), effects.reset(), effects.answer(503)])
def test_what_was_done_without_an_answer_is_done_once(nsx: NsxLab, helper: Helper, action: str, effect: Effect) -> None:
    """It is looked for before it is done again."""
    before = nsx.census()
    rule = Rule(action, effect, times=1)
    nsx.proxy.inject(rule)
    vm = helper.vm(networks=on_segment(helper), nsxt={**ALL, "vif_type": "PARENT"}).cid
    assert rule.met == 1
    assert nsx.members("web-1") == [identity(helper, vm)]
    assert len(nsx.pool_members()) == 1
    again = Rule(action, effect, times=1)
    nsx.proxy.inject(again)
    helper.cloud.delete_vm(vm)
    assert nsx.census() == before


@pytest.mark.parametrize("action", ["ip-pools/{id}", "ip-pools/{id}/ip-subnets/{id}", "tier-1s/{id}", "segments/{id}"])
def test_a_network_whose_answers_get_lost_is_made_once(nsx: NsxLab, cloud: Cloud, action: str) -> None:
    """What has its id is ours."""
    before = nsx.census()
    rule = Rule(f"PUT {action}", effects.lost_answer(), times=1)
    nsx.proxy.inject(rule)
    network = cloud.create_network(_SIZED)
    assert rule.met == 1
    after = nsx.census()
    made = {kind: after[kind] - before.get(kind, 0) for kind in after if after[kind] != before.get(kind, 0)}
    assert made == {"NSX IpAddressPool": 1, "NSX IpAddressPoolBlockSubnet": 1, "NSX Tier1": 1, "NSX Segment": 1}
    nsx.proxy.inject(Rule("DELETE *", effects.lost_answer(), times=2))
    cloud.delete_network(network.cid)
    assert nsx.census() == before


def test_a_busy_nsx_is_asked_again_after_the_time_that_it_names(nsx: NsxLab, tmp_path: Path) -> None:
    """429 says that nothing was done."""
    nsx.proxy.inject(Rule("GET groups/{id}", effects.answer(429, b"", {"Retry-After": "1"}), times=1))
    manager = client(nsx, tmp_path)
    assert manager.get(_GROUP)["id"] == "dmz"
    calls = [call for call in nsx.proxy.calls if call.action == "GET groups/{id}"]
    assert calls[1].began - calls[0].began >= 1.0
    manager.close()


def test_an_nsx_that_is_busy_for_long_is_waited_for(nsx: NsxLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet of VMs asks more than NSX takes; it names no time."""
    SimulatedTime().rule_repeating(monkeypatch)
    rule = Rule("GET groups/{id}", effects.answer(503, b""), times=5)
    nsx.proxy.inject(rule)
    manager = client(nsx, tmp_path)
    assert manager.get(_GROUP)["id"] == "dmz"
    assert rule.met == 5
    manager.close()


def test_an_nsx_that_stays_busy_is_given_up_and_nothing_is_left(
    nsx: NsxLab, helper: Helper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repeat may succeed, and the director is told so."""
    monkeypatch.setattr("cpi_drivers.vsphere.api.retries.SECONDS", 0.5)
    before = _whole(nsx, helper)
    nsx.proxy.inject(Rule("PUT lb-pools/{id}", effects.answer(503, b"")))
    with pytest.raises(errors.VMCreationFailed, match="503") as caught:
        helper.vm(nsxt={"lb": ALL["lb"]})
    assert caught.value.ok_to_retry
    assert _whole(nsx, helper) == before


def test_an_nsx_that_goes_away_keeps_no_vm(
    nsx: NsxLab, helper: Helper, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the VM is in and cannot leave is told in the log; the VM itself is removed, and no repeat is promised."""
    monkeypatch.setattr("cpi_drivers.vsphere.api.retries.SECONDS", 0.5)
    before = helper.vcenter.census()
    nsx.proxy.inject(Rule("*", effects.answer(503, b""), skip=5))
    with pytest.raises(errors.VMCreationFailed) as caught:
        helper.vm(nsxt={"ns_groups": ["dmz"], "lb": {"server_pools": [{"name": "static"}]}})
    assert not caught.value.ok_to_retry
    assert helper.vcenter.census() == before
    (left,) = nsx.members("dmz")
    assert f"({left}) from /infra/domains/default/groups/dmz in NSX, it is left behind" in caplog.text


def test_each_kind_of_answer_has_its_error(nsx: NsxLab, tmp_path: Path) -> None:
    """With NSX's own words."""
    manager = client(nsx, tmp_path)
    nsx.proxy.inject(Rule("GET groups/{id}", effects.answer(400, _SAID)))
    with pytest.raises(NsxRefused, match=r"GET .*/groups/dmz was refused: NSX answered 400: injected \(code 500030\)"):
        manager.get(_GROUP)
    nsx.proxy.inject(Rule("GET groups/{id}", effects.answer(307, b"", {"Location": "https://other/"})))
    with pytest.raises(NsxRefused, match="other"):
        manager.get(_GROUP)
    nsx.proxy.inject(Rule("GET groups/{id}", effects.answer(502, b"<html>a  proxy</html>")))
    with pytest.raises(AnswerLost, match="<html>a proxy</html>"):
        manager.get(_GROUP)
    manager.close()


def test_an_nsx_that_is_not_there_is_not_reached(nsx: NsxLab, helper: Helper, tmp_path: Path) -> None:
    """And nothing is made in the vCenter."""
    manager = client(nsx, tmp_path)
    manager.url, manager._http.base_url = "http://127.0.0.1:9", "http://127.0.0.1:9"
    with pytest.raises(Unreached, match=r"127\.0\.0\.1:9 cannot be reached"):
        manager.get(_GROUP)
    manager.close()
