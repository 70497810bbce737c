"""`cpi check`: finds problems of instances and offers fixes."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cpi.cli import screen
from cpi.cli.migration_options import AsJson
from cpi.cli.staleness import tell_stale_entries, tell_unreadable
from cpi.cli.watching import DatabaseUrl, InstancesFile, recreate, telling_runner
from cpi.contract import errors
from cpi.contract.encoding import to_plain

if TYPE_CHECKING:  # the engine takes long to import
    from cpi.resurrection.clouds import Clouds
    from cpi.resurrection.durable.history import Present
    from cpi.resurrection.durable.runner import Runner
    from cpi.resurrection.instance import Instance
    from cpi.resurrection.problems import Found, Resolution
    from cpi.resurrection.watchfile import Watchfile


def check(
    file: InstancesFile,
    *,
    auto: Annotated[bool, typer.Option("--auto", help="Apply safe fixes without asking (recreate VMs, mount disks).")] = False,
    ask: Annotated[bool, typer.Option("--ask", help="Ask what to do even if stdin is not a terminal.")] = False,
    json: AsJson = False,
    database: DatabaseUrl = None,
) -> None:
    """Find missing VMs, silent agents, missing disks and wrongly mounted disks, and offer fixes.

    On a terminal it asks about each problem; otherwise it only reports them. The exit status is 1 if problems remain.
    """
    from cpi.resurrection.clouds import Clouds
    from cpi.resurrection.watchfile import read_watchfile

    plan = read_watchfile(file)
    with Clouds() as clouds, telling_runner(plan, database) as runner:
        found = _checked(plan, runner, clouds)
        if json:
            screen.show_json([{**to_plain(one), "resolutions": [way.value for way in one.resolutions]} for one in found])
        else:
            _show(found)
        wants = auto or ask or (sys.stdin.isatty() and not json)
        left = [one for one in found if not (wants and _settled(one, plan, runner, clouds, auto=auto))]
    if left:
        raise errors.CloudError(f"{len(left)} of {len(found)} problems remain")


def _checked(plan: "Watchfile", runner: "Runner", clouds: "Clouds") -> "list[Found]":
    from cpi.resurrection.checking import check as check_all

    in_hand = {one.name: runner.disks.in_hand(one, clouds.plugin(one.config)) for one in plan.instances}
    now = {one.name: _now(one, runner, clouds) for one in plan.instances}
    tell_stale_entries(plan, now)
    tell_unreadable(runner.unreadable())
    return check_all(list(now.values()), _present(plan, runner, clouds), clouds, in_hand)


def _now(instance: "Instance", runner: "Runner", clouds: "Clouds") -> "Instance":
    """The instance with its current disks, whatever disks its file names."""
    return runner.disks.present(instance, clouds.plugin(instance.config), clouds.cloud(instance.config))


def _present(plan: "Watchfile", runner: "Runner", clouds: "Clouds") -> "dict[str, Present]":
    history = runner.history()
    return {one.name: history.present(one, clouds.plugin(one.config)) for one in plan.instances}


def _show(found: "list[Found]") -> None:
    if not found:
        screen.out().print("no problems found")
    for number, one in enumerate(found, 1):
        disk = f" {one.disk}" if one.disk else ""
        held = f"; {one.in_hand}" if one.in_hand else ""
        told = f"{number}. {one.instance}: {one.problem.value}{disk}: {one.detail}{held}"
        screen.out().print(told, soft_wrap=True, markup=False)


def _settled(one: "Found", plan: "Watchfile", runner: "Runner", clouds: "Clouds", *, auto: bool) -> bool:
    """Whether the problem was fixed."""
    from cpi.resurrection.problems import Resolution
    from cpi.resurrection.resolving import resolve

    resolution = one.by_itself if auto else _asked(one)
    instance = plan.instance(one.instance)
    try:
        if one.in_hand:
            raise errors.CloudError(one.in_hand)
        if resolution in {Resolution.RECREATE_VM, Resolution.RECREATE_VM_WITHOUT_WAIT}:
            wait = resolution is Resolution.RECREATE_VM
            done = f"the VM is now {recreate(plan, one.instance, runner, ask=True, wait=wait).vm}"
        else:
            present = _present(plan, runner, clouds)[one.instance]
            done = resolve(one, resolution, _now(instance, runner, clouds), present, clouds.cloud(instance.config))
    except errors.Error as error:
        screen.show_fault(f"{one.instance}: {resolution.value}: {error.message}")
        return False
    screen.err().print(f"{one.instance}: {resolution.value}: {done}", soft_wrap=True, markup=False)
    return resolution is not Resolution.IGNORE


def _asked(one: "Found") -> "Resolution":
    screen.err().print(f"{one.instance}: {one.problem.value}: {one.detail}", soft_wrap=True, markup=False)
    for number, way in enumerate(one.resolutions, 1):
        screen.err().print(f"  {number}. {way.value.replace('_', ' ')}", markup=False)
    chosen: int = typer.prompt("what to do", type=int, default=1, err=True)
    if not 1 <= chosen <= len(one.resolutions):
        raise errors.CpiError(f"invalid choice {chosen}; choose 1 to {len(one.resolutions)}. No further problem was handled")
    return one.resolutions[chosen - 1]
