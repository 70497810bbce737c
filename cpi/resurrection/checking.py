"""The cloud check: every instance's VM, agent and disks looked at, nothing changed."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from cpi.agent.errors import AgentError
from cpi.agent.protocol import Deadlines
from cpi.agent.reaching import reached
from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.resurrection.clouds import Clouds
from cpi.resurrection.durable.history import Present
from cpi.resurrection.instance import Instance
from cpi.resurrection.judging import judge
from cpi.resurrection.problems import Found, Problem
from cpi.resurrection.report import Verdict

_AT_ONCE: Final = 8
_SECONDS: Final = 10.0


class Seen(msgspec.Struct, frozen=True):
    """One instance, as it was found."""

    verdict: Verdict | None
    """What is wrong with its VM; None if its agent answers."""

    attached: frozenset[DiskCid] = frozenset()
    mounted: frozenset[DiskCid] = frozenset()
    missing: frozenset[DiskCid] = frozenset()


def check(
    instances: Sequence[Instance], present: Mapping[str, Present], clouds: Clouds, in_hand: Mapping[str, str] | None = None
) -> list[Found]:
    """Every problem, in the order of the instances. Raises CloudError where a cloud cannot tell.

    in_hand says by an instance's name which move has its disk in hand.
    """
    with ThreadPoolExecutor(_AT_ONCE, "check") as pool:
        looks = pool.map(lambda instance: _look(instance, present[instance.name], clouds), instances)
        seen = dict(zip((instance.name for instance in instances), looks, strict=True))
    wanted = {(instance.config, disk) for instance in instances for disk in instance.disks}
    held = in_hand or {}
    return [
        msgspec.structs.replace(found, in_hand=held.get(instance.name, ""))
        for instance in instances
        for found in _problems(instance, seen, wanted)
    ]


def _look(instance: Instance, present: Present, clouds: Clouds) -> Seen:
    cloud = clouds.cloud(instance.config)
    missing = frozenset(disk for disk in instance.disks if not cloud.has_disk(disk))
    try:
        with contextlib.ExitStack() as made:
            deadlines = Deadlines(message=_SECONDS, ready=_SECONDS)
            agent = made.enter_context(reached(instance.reach(present.agent_id), cloud, present.vm, made, deadlines))
            agent.get_state()
            mounted = frozenset(agent.list_disk())
    except (AgentError, errors.VMNotFound):
        return Seen(judge(cloud, present.vm), missing=missing)
    attached = frozenset[DiskCid]()
    with contextlib.suppress(errors.NotImplemented):
        attached = frozenset(cloud.get_disks(VmCid(present.vm)))
    return Seen(None, attached, mounted, missing)


def _problems(instance: Instance, seen: Mapping[str, Seen], wanted: set[tuple[str, DiskCid]]) -> Iterator[Found]:
    own = seen[instance.name]
    if own.verdict is not None:
        problem = Problem.MISSING_VM if own.verdict is Verdict.MISSING else Problem.UNRESPONSIVE_AGENT
        yield Found(problem, instance.name, "its VM does not exist" if problem is Problem.MISSING_VM else "it does not answer")
    for disk in instance.disks:
        if disk in own.missing:
            yield Found(Problem.MISSING_DISK, instance.name, "the cloud has no such disk", disk)
        else:
            yield from _mismatch(instance, disk, seen)
    for disk in sorted(own.attached | own.mounted):
        if (instance.config, disk) not in wanted:
            how = "mounted" if disk in own.mounted else "attached, not mounted"
            yield Found(Problem.INACTIVE_DISK, instance.name, f"{how}, and no instance names it", disk)


def _mismatch(instance: Instance, disk: DiskCid, seen: Mapping[str, Seen]) -> Iterator[Found]:
    at = [name for name, one in seen.items() if disk in one.mounted]
    if at == [instance.name]:
        return
    if at:
        yield Found(Problem.MOUNT_MISMATCH, instance.name, f"it is mounted on {' and '.join(at)}", disk, elsewhere=True)
    elif seen[instance.name].verdict is None:
        beside = min(seen[instance.name].mounted - set(instance.disks), default=None)
        detail = f"it is mounted nowhere{f', and {beside} is mounted in its place' if beside else ''}"
        yield Found(Problem.MOUNT_MISMATCH, instance.name, detail, disk, beside=beside)
