"""Pending states: what is ready 3 s after its call is returned soon after; throttling and resets are ridden out."""

import concurrent.futures
import re

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.units import MiB
from fixtures.clouds.aws.answers import refusal, throttled
from fixtures.clouds.aws.lab import ZONES, Lab
from fixtures.clouds.aws.pending import Pending
from fixtures.proxy import Answer, Effect, Request, Rule, effects
from fixtures.simulated_time import SimulatedTime
from tests.drivers.aws.conftest import Helper

pytestmark = pytest.mark.slow

_GIB = MiB(1024)
_READY = 3.0
_LATE = 0.8


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedTime:
    """For what the driver waits for; the states of Pending go by it too."""
    made = SimulatedTime()
    made.rule(monkeypatch)
    return made


def test_create_vm_returns_within_0_8_s_of_the_vm_running(aws: Lab, helper: Helper, clock: SimulatedTime) -> None:
    """The official CPI: 15.9 s."""
    pending = Pending(_READY, clock.now)
    aws.proxy.inject(*pending.rules())
    vm = helper.vm()
    assert 0 <= clock.now() - pending.ready_at("vm", vm.cid) < _LATE
    assert aws.proxy.counts()["DescribeInstances"] < 25


def test_attach_disk_returns_within_0_8_s_of_the_disk_being_attached(
    aws: Lab, helper: Helper, cloud: Cloud, clock: SimulatedTime
) -> None:
    """The official CPI: 6.8 s."""
    vm, disk_cid = helper.vm(), cloud.create_disk(_GIB, {"availability_zone": ZONES[0]})
    pending = Pending(_READY, clock.now)
    aws.proxy.inject(*pending.rules())
    cloud.attach_disk(vm.cid, disk_cid)
    assert 0 <= clock.now() - pending.ready_at("attaching", disk_cid) < _LATE


def test_every_other_method_waits_for_what_it_promises(aws: Lab, helper: Helper, cloud: Cloud, clock: SimulatedTime) -> None:
    """Detached, gone, snapshotted, resized: true when the method returns."""
    vm, disk_cid = helper.vm(), cloud.create_disk(_GIB, {"availability_zone": ZONES[0]})
    cloud.attach_disk(vm.cid, disk_cid)
    aws.proxy.inject(*Pending(0.5, clock.now).rules())
    for action in (
        lambda: cloud.detach_disk(vm.cid, disk_cid),
        lambda: cloud.resize_disk(disk_cid, MiB(2048)),
        lambda: cloud.snapshot_disk(disk_cid, {}),
        lambda: cloud.create_disk(_GIB, {}),
        lambda: cloud.delete_vm(vm.cid),
    ):
        began = clock.now()
        action()
        assert 0.5 <= clock.now() - began < 1.5


@pytest.mark.parametrize("fault", [effects.answer(503, throttled().body), effects.reset(), effects.answer(500, b"no XML")])
def test_throttling_resets_and_nonsense_are_ridden_out(
    aws: Lab, helper: Helper, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, fault: Effect
) -> None:
    """Every second call fails for a passing reason; nobody notices."""
    SimulatedTime().rule_repeating(monkeypatch)
    count = iter(range(10_000))
    aws.proxy.inject(Rule("*", fault, when=lambda _: next(count) % 2 == 0))
    vm = helper.vm()
    disk_cid = cloud.create_disk(_GIB, {}, vm.cid)
    cloud.attach_disk(vm.cid, disk_cid)
    cloud.detach_disk(vm.cid, disk_cid)
    cloud.delete_disk(disk_cid)
    cloud.delete_vm(vm.cid)
    assert aws.volumes() == []


def test_a_vm_that_ends_at_once_is_named_by_its_reason(aws: Lab, helper: Helper) -> None:
    """Not "terminated while starting"."""

    def ended(code: str) -> Effect:
        def rewrite(request: Request, answer: Answer) -> Answer:
            body = answer.body.replace(b"<name>running</name>", b"<name>terminated</name>")
            body = re.sub(rb"<stateReason>.*?</stateReason>|<stateReason */>", _reason(code), body, flags=re.DOTALL)
            return Answer(answer.status, body, answer.headers)

        return effects.rewritten(rewrite)

    rule = Rule("DescribeInstances", ended("Client.VolumeLimitExceeded"), times=1)
    aws.proxy.inject(rule)
    with pytest.raises(errors.VMCreationFailed, match="VolumeLimitExceeded") as caught:
        helper.vm()
    assert not caught.value.ok_to_retry
    assert aws.instances() == []


def _reason(code: str) -> bytes:
    return f"<stateReason><code>{code}</code><message>injected</message></stateReason>".encode()


@pytest.mark.parametrize(
    ("code", "again"),
    [("InsufficientInstanceCapacity", True), ("VcpuLimitExceeded", False), ("InsufficientFreeAddressesInSubnet", True)],
)
def test_capacity_and_quota_are_named_and_honest(aws: Lab, helper: Helper, code: str, again: bool) -> None:  # noqa: FBT001 - pytest
    """A repeat may help against the one, not against the other."""
    aws.proxy.inject(Rule("RunInstances", effects.decided(lambda _: refusal(code, "none today"))))
    with pytest.raises(errors.VMCreationFailed, match=code) as caught:
        helper.vm()
    assert caught.value.ok_to_retry is again


def test_types_and_zones_are_tried_in_turn(aws: Lab, helper: Helper) -> None:
    """The first that can be had is taken; the reasons are told if none can."""
    from cpi.contract.model import Network

    tried = []

    def scarce(request: Request) -> Answer | None:
        tried.append((request.form["InstanceType"], request.form.get("Placement.AvailabilityZone")))
        return None if tried[-1] == ("m5a.large", ZONES[1]) else refusal("InsufficientInstanceCapacity")

    aws.proxy.inject(Rule("RunInstances", effects.decided(scarce)))
    networks = {"default": Network(type="dynamic")}
    vm = helper.vm(networks=networks, instance_types=["m5.large", "m5a.large"], availability_zones=list(ZONES[:2]))
    assert tried == [(kind, zone) for kind in ("m5.large", "m5a.large") for zone in ZONES[:2]]
    assert aws.instance(vm.cid)["InstanceType"] == "m5a.large"
    with pytest.raises(errors.VMCreationFailed, match=r"m5.large in eu-west-1c[\s\S]*m6i.large in eu-west-1c"):
        helper.vm(networks=networks, instance_types=["m5.large", "m6i.large"], availability_zone=ZONES[2])


def test_spot_falls_back_to_an_ordinary_vm(aws: Lab, helper: Helper) -> None:
    """If it is allowed to."""
    asked = []

    def no_spot(request: Request) -> Answer | None:
        asked.append(request.form.get("InstanceMarketOptions.SpotOptions.MaxPrice"))
        return refusal("SpotMaxPriceTooLow") if asked[-1] else None

    aws.proxy.inject(Rule("RunInstances", effects.decided(no_spot)))
    helper.vm(spot_bid_price=0.25, spot_ondemand_fallback=True)
    assert asked == ["0.25", None]
    with pytest.raises(errors.VMCreationFailed):
        helper.vm(spot_bid_price=0.25)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("count", [60, pytest.param(200, marks=pytest.mark.nightly)])
def test_many_vms_at_once_under_a_throttle_of_20_a_second_all_succeed(aws: Lab, helper: Helper, count: int) -> None:
    """Throttled as EC2 does it, each action by itself."""
    aws.proxy.withdraw_all()
    for action in ("RunInstances", "DescribeInstances", "DescribeImages"):
        aws.proxy.inject(Rule(action, effects.throttle(20, throttled(), burst=20)))
    networks = [helper.manual() for _ in range(count)]
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        vms = list(pool.map(lambda network: helper.vm(networks=network), networks))
    assert len({vm.cid for vm in vms}) == count
    assert len(aws.instances()) == count
