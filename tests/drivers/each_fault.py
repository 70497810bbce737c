"""Each call of each method is struck once, in each way: the method gets past it, or says so honestly and a repeat does it."""

import contextlib
import itertools
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import VmResources
from cpi.contract.units import MiB
from fixtures.proxy import Effect, Proxy, Request, Rule

_MOST_CALLS: Final = 80
_SIZE: Final = MiB(1024)
_LARGER: Final = MiB(2048)
_RESOURCES: Final = VmResources(cpu=1, ram=MiB(512), ephemeral_disk_size=_SIZE)


class Way(NamedTuple):
    """What befalls a call."""

    effect: Effect
    passes: bool = False
    """The method has to get past it by itself."""

    befalls: Callable[[Request], bool] = lambda _: True


class Bench(NamedTuple):
    """A cloud by way of a proxy, and a VM in it that methods may use."""

    cloud: Cloud
    proxy: Proxy
    census: Callable[[], object]
    make_vm: Callable[[str], VmCid]
    """By a token."""

    vm: VmCid
    is_look: Callable[[Request], bool]
    """Whether a request only asks how far something is: those are not counted."""

    def disk(self, *, attached: bool = False) -> DiskCid:
        """A new one."""
        cid = self.cloud.create_disk(_SIZE, {})
        if attached:
            self.cloud.attach_disk(self.vm, cid)
        return cid

    def without(self, disk: DiskCid) -> None:
        """It is gone, wherever it was."""
        with contextlib.suppress(errors.DiskNotAttached):
            self.cloud.detach_disk(self.vm, disk)
        self.cloud.delete_disk(disk)


class Case(NamedTuple):
    """A method: on what, called how, and what is true afterwards."""

    act: Callable[[Bench, Any], object]
    prepare: Callable[[Bench], Any] = lambda _: None
    clean: Callable[[Bench, Any], object] = lambda _, __: None
    needs: Capability | None = None


def _detach(bench: Bench, disk: DiskCid) -> None:
    with contextlib.suppress(errors.DiskNotAttached):  # the call before it, that failed, may have done it
        bench.cloud.detach_disk(bench.vm, disk)
    assert list(bench.cloud.get_disks(bench.vm)) == []


def _attach(bench: Bench, disk: DiskCid) -> None:
    bench.cloud.attach_disk(bench.vm, disk)
    assert list(bench.cloud.get_disks(bench.vm)) == [disk]


def _create(bench: Bench, made: list[Any]) -> None:
    made.append(bench.cloud.create_disk(_SIZE, {}, None, made[0]))
    assert len(set(made[1:])) == 1


def _delete(bench: Bench, disk: DiskCid) -> None:
    bench.cloud.delete_disk(disk)
    assert not bench.cloud.has_disk(disk)


def _snapshot(bench: Bench, made: list[Any]) -> None:
    made.append(bench.cloud.snapshot_disk(made[0], {"job": "db"}))


def _without_snapshots(bench: Bench, made: list[Any]) -> None:
    for snapshot in made[1:]:
        bench.cloud.delete_snapshot(snapshot)
    bench.without(made[0])


def _disk_with_a_snapshot(bench: Bench) -> list[Any]:
    disk = bench.disk(attached=True)
    return [disk, bench.cloud.snapshot_disk(disk, {})]


def _new_vm(bench: Bench, made: list[Any]) -> None:
    made.append(bench.make_vm(made[0]))
    assert len(set(made[1:])) == 1
    assert bench.cloud.has_vm(made[-1])


def _delete_vm(bench: Bench, vm: VmCid) -> None:
    bench.cloud.delete_vm(vm)
    assert not bench.cloud.has_vm(vm)


def _token(_: Bench) -> list[Any]:
    return [str(uuid.uuid4())]


CASES: Final[Mapping[str, Case]] = {
    "has_vm": Case(lambda bench, _: _true(bench.cloud.has_vm(bench.vm))),
    "set_vm_metadata": Case(lambda bench, _: bench.cloud.set_vm_metadata(bench.vm, {"job": "db", "index": "0"})),
    "reboot_vm": Case(lambda bench, _: bench.cloud.reboot_vm(bench.vm)),
    "calculate_vm_cloud_properties": Case(
        lambda bench, _: _true(
            bench.cloud.calculate_vm_cloud_properties(VmResources(cpu=1, ram=MiB(512), ephemeral_disk_size=_SIZE))
        )
    ),
    "create_vm": Case(_new_vm, _token, lambda bench, made: bench.cloud.delete_vm(made[-1])),
    "delete_vm": Case(_delete_vm, lambda bench: bench.make_vm(str(uuid.uuid4()))),
    "create_disk": Case(_create, _token, lambda bench, made: bench.cloud.delete_disk(made[-1])),
    "delete_disk": Case(_delete, Bench.disk),
    "has_disk": Case(lambda bench, disk: _true(bench.cloud.has_disk(disk)), Bench.disk, Bench.without),
    "set_disk_metadata": Case(lambda bench, disk: bench.cloud.set_disk_metadata(disk, {"a": "b"}), Bench.disk, Bench.without),
    "attach_disk": Case(_attach, Bench.disk, Bench.without),
    "detach_disk": Case(_detach, lambda bench: bench.disk(attached=True), Bench.without),
    "get_disks": Case(
        lambda bench, disk: _true(list(bench.cloud.get_disks(bench.vm)) == [disk]),
        lambda bench: bench.disk(attached=True),
        Bench.without,
    ),
    "resize_disk": Case(lambda bench, disk: bench.cloud.resize_disk(disk, _LARGER), Bench.disk, Bench.without),
    "update_disk": Case(lambda bench, disk: _true(bench.cloud.update_disk(disk, _LARGER, {}) == disk), Bench.disk, Bench.without),
    "snapshot_disk": Case(_snapshot, lambda bench: [bench.disk(attached=True)], _without_snapshots, Capability.SNAPSHOTS),
    "delete_snapshot": Case(
        lambda bench, made: bench.cloud.delete_snapshot(made[1]),
        _disk_with_a_snapshot,
        lambda bench, made: bench.without(made[0]),
        Capability.SNAPSHOTS,
    ),
}
"""Of every method but those of stemcells, which tests of their own strike."""


def strike(bench: Bench, name: str, way: Way) -> int:
    """How many calls were struck, each in a run of its own."""
    case = CASES[name]
    if case.needs is not None and case.needs not in bench.cloud.capabilities:
        return 0
    before = bench.census()
    for number in range(_MOST_CALLS):
        thing = case.prepare(bench)
        rule = Rule("*", way.effect, when=_nth(bench, way, number))
        bench.proxy.inject(rule)
        try:
            case.act(bench, thing)
        except errors.Error as error:
            bench.proxy.withdraw(rule)
            _check(rule, way, f"{name}, struck at call number {number}: {error.message}")
            case.act(bench, thing)
        bench.proxy.withdraw(rule)
        case.clean(bench, thing)
        assert bench.census() == before, f"{name}, struck at call number {number}"
        if not rule.met:
            return number
    raise AssertionError(f"{name} makes more than {_MOST_CALLS} calls")


def _check(rule: Rule, way: Way, told: str) -> None:
    assert rule.met == 1, f"without a reason: {told}"
    assert not way.passes, f"it should have got past it: {told}"


def _nth(bench: Bench, way: Way, number: int) -> Callable[[Request], bool]:
    count = itertools.count()
    return lambda request: not bench.is_look(request) and way.befalls(request) and next(count) == number


def _true(answer: object) -> None:
    assert answer
