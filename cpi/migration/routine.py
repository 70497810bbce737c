"""The disk move from beginning to end: undone if it fails before the swap, finished whatever fails after it."""

import uuid
from functools import partial

import msgspec

from cpi.agent import jobs
from cpi.agent.protocol import Agent
from cpi.agent.shell import Shell
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CloudProperties, Metadata
from cpi.contract.operator import ChangesAttachedDisks, GrowsAttachedDisks
from cpi.contract.units import MiB
from cpi.kit.retrying import repeated
from cpi.kit.undo import Undo
from cpi.migration.disks import Site, VmGone
from cpi.migration.journal import Journal
from cpi.migration.measuring import is_marked, measured, used_bytes_at_least
from cpi.migration.moving import Move, State
from cpi.migration.performing import UNDO, Perform, directly
from cpi.migration.plan import Facts, Order, Plan, plan
from cpi.migration.report import MoveFailed, MoveRefused, OnEvent, Report, Strategy, Verify
from cpi.migration.steps import STEPS
from cpi.migration.stopping import Limits, NotWorth

_ATTEMPTS = 3
_LEFT_STOPPED = (
    "the jobs were already stopped at the start, and were left stopped; if an earlier attempt of this move stopped them,"
    " start them, or retry with start_jobs=True"
)
_REFUSALS = (errors.NotSupported, errors.NotImplemented)


def migrate_disk(  # noqa: PLR0913 - the keywords are what a director may know, and each can be left out
    cloud: Cloud,
    agent: Agent,
    vm_cid: VmCid,
    old_disk_cid: DiskCid,
    size: MiB,
    cloud_properties: CloudProperties | None = None,
    *,
    strategy: Strategy | str = "auto",
    old_size: MiB | None = None,
    old_cloud_properties: CloudProperties | None = None,
    metadata: Metadata | None = None,
    start_jobs: bool | None = None,
    shell: Shell | None = None,
    snapshot: bool = False,
    verify: Verify | str = Verify.CHANGES,
    limits: Limits | None = None,
    move_id: str | None = None,
    on_event: OnEvent | None = None,
) -> Report:
    """Put a VM's data on a disk of this size and kind, its jobs stopped meanwhile, the old disk kept as an orphan.

    Given:   old_size and old_cloud_properties are the director's record of the old disk: without both "auto" copies, for no cloud
             can be asked. metadata is what the new disk is tagged with. With a shell in the guest (cpi.agent.shell) it is copied
             while the jobs run, within limits. snapshot has the cloud take one first. verify "full" compares every byte.
    Then:    report.disk_cid holds the data and is mounted as the store. The jobs run if they were not stopped before
             (start_jobs says otherwise); what the jobs had written is on it.
             start_jobs is the director's record of whether the jobs are meant to run; without it, that they are not stopped now.
    Again:   with the same move_id, what a killed process left is found and finished. It may have stopped the jobs, and nobody
             can be asked whether they ran before: so give start_jobs whenever a move may be repeated.
    Events:  on_event is told of every step; if it raises before the swap, the move is undone and what it raised passes on.
    Raises:  MoveRefused, with nothing changed. MoveFailed: before the swap with everything undone and the jobs on the old disk,
             after it with the data on report.disk_cid, what is left told. What cloud and agent raise when first asked.
    """
    order = Order(
        move_id=move_id or str(uuid.uuid4()),
        vm_cid=vm_cid,
        old_disk_cid=old_disk_cid,
        size=size,
        cloud_properties=cloud_properties or {},
        strategy=_strategy(strategy),
        old_size=old_size,
        old_cloud_properties=old_cloud_properties,
        metadata=metadata or {},
        start_jobs=start_jobs,
        snapshot=snapshot,
        verify=_verify(verify),
        limits=limits or Limits(),
    )
    return carry_out(order, Site(cloud, agent, vm_cid, shell), on_event, again=move_id is not None)


class Outlook(msgspec.Struct, frozen=True):
    """What was true when the move began, and the way to go from there."""

    facts: Facts
    course: Plan


def carry_out(order: Order, site: Site, on_event: OnEvent | None, *, again: bool = False, perform: Perform = directly) -> Report:
    """Make the move that was ordered; again looks for what an earlier try has left. perform is who does its parts."""
    began = perform("plan", Outlook, partial(_outlook, order, site, again=again))
    facts, course = began.answer.facts, began.answer.course
    journal = Journal(order, on_event, began.began, began.seconds)
    journal.planned(course)
    notes = (_LEFT_STOPPED,) if again and order.start_jobs is None and not facts.jobs_run else ()
    return _Going(Move(site, order, facts, State(disk_cid=facts.new_disk_cid, notes=notes)), course, journal, perform).report()


def _outlook(order: Order, site: Site, *, again: bool) -> Outlook:
    facts = look(order, site, again=again)
    return Outlook(facts, plan(order, facts))


def look(order: Order, site: Site, *, again: bool) -> Facts:
    """What is true now."""
    site.agent.wait_until_ready()
    state = site.agent.get_state(full=True)
    mounted = site.agent.list_disk()
    facts = Facts(
        capabilities=site.cloud.capabilities,
        mounted=mounted,
        jobs_run=state.job_state != jobs.STOPPED,
        new_disk_cid=_made_before(order, site, mounted) if again else None,
        used_bytes_at_least=used_bytes_at_least(state, order.old_size),
        grows_attached=isinstance(site.cloud, GrowsAttachedDisks),
        changes_attached=isinstance(site.cloud, ChangesAttachedDisks),
        moved=order.to is not None and site.shell is not None and is_marked(site.guest(order.move_id)),
    )
    return measured(facts, order, site)


def _made_before(order: Order, site: Site, mounted: tuple[DiskCid, ...]) -> DiskCid | None:
    if order.to is not None or not set(mounted) - {order.old_disk_cid}:
        return None
    disk_cid = site.cloud.create_disk(order.size, order.cloud_properties, order.vm_cid, order.token)
    if disk_cid in mounted:
        return disk_cid
    site.cloud.delete_disk(disk_cid)
    return None


class _Going:
    """One move under way."""

    def __init__(self, move: Move, course: Plan, journal: Journal, perform: Perform) -> None:
        self._move = move
        self._course = course
        self._journal = journal
        self._perform = perform
        self._swapped = False

    def report(self) -> Report:
        """Go, and tell. Raises MoveFailed."""
        try:
            with Undo() as undo:
                self._before(undo)
        except errors.Error as error:
            raise self._failed(error) from error
        self._swapped = True
        self._after()
        if self._journal.left:
            raise self._failed(None)
        return self._told()

    def _before(self, undo: Undo) -> None:
        for name in self._course.before:
            if STEPS[name].undo is not None:
                undo.push(STEPS[name].what, partial(self._undo, name))
            try:
                self._do(name)
            except (*_REFUSALS, NotWorth) as error:
                if self._course.fallback is None or not self._gives_way(name, error):
                    raise
                self._course = self._course.fallback
                self._journal.fell_back(self._course, error)
                self._note(error)
                self._before(undo)
                return

    def _gives_way(self, name: str, error: errors.Error) -> bool:
        if self._course.strategy is Strategy.LIVE_COPY:
            return isinstance(error, NotWorth)
        return name == self._course.before[-1] and isinstance(error, _REFUSALS)

    def _note(self, error: errors.Error) -> None:
        state = self._move.state
        state = msgspec.structs.replace(state, notes=(*state.notes, error.message))
        self._move = msgspec.structs.replace(self._move, state=state)

    def _after(self) -> None:
        ahead = list(self._course.after)
        with Undo() as interrupted:
            # one by one: where nothing can be written down any more, each of them is done all the same
            for name in reversed(self._course.after):
                interrupted.push(f"a remaining step ({STEPS[name].what})", partial(self._finish, ahead, name))
            for name in self._course.after:
                self._finish(ahead, name)

    def _finish(self, ahead: list[str], name: str) -> None:
        if name not in ahead:
            return
        try:
            repeated(partial(self._do, name), on=errors.Error, unless=(jobs.NotStarted, VmGone), attempts=_ATTEMPTS)
        except errors.Error as error:
            self._journal.left.append(f"{STEPS[name].what}: {error.message}")
        ahead.remove(name)

    def _do(self, name: str) -> None:
        part = partial(self._move.site.telling_its_loss, partial(self._part, name, self._move))
        self._move.site.listener = partial(self._journal.progressed, name)
        state = self._journal.doing(name, lambda: self._perform(name, State, part))
        self._move = msgspec.structs.replace(self._move, state=state)

    def _part(self, name: str, move: Move) -> State:
        if self._swapped:
            return STEPS[name].do(move)
        before = self._course.before
        if "stop_jobs" in before[: before.index(name)] and not move.site.jobs_are_down:
            _stop_again(move)
        try:
            return STEPS[name].do(move)
        except errors.Error as error:
            if not isinstance(error, errors.DiskNotFound) and _has_lost_its_disk(move):
                lost = f"{move.state.disk_cid}, which was made for this move, is there no more: {error.message}"
                raise errors.DiskNotFound(lost) from error
            raise

    def _undo(self, name: str) -> None:
        undo = STEPS[name].undo
        if undo is not None:
            once = partial(self._move.site.telling_its_loss, partial(undo, self._move))
            attempt = partial(repeated, once, on=errors.Error, unless=(jobs.NotStarted, VmGone), attempts=_ATTEMPTS)
            self._journal.undoing(name, lambda: self._perform(f"{UNDO}{name}", type(None), attempt))

    def _told(self) -> Report:
        disk_cid = self._move.disk_cid if self._swapped else self._move.order.old_disk_cid
        return self._journal.report(self._course, self._move, disk_cid)

    def _failed(self, error: errors.Error | None) -> MoveFailed:
        report, left = self._told(), self._journal.left
        where = f"the data is on {report.disk_cid}" if self._swapped else f"the move of {report.old_disk_cid} failed"
        lines = [where if error is None else f"{where}: {error.message}"]
        lines += [f"undone: {what}" for what in self._journal.undone]
        lines += [f"left to do: {what}" for what in left]
        return MoveFailed("\n  ".join(lines), report=report, swapped=self._swapped, undone=self._journal.undone, left=left)


def _stop_again(move: Move) -> None:
    """For a step that needs the jobs down, where the process that stopped them may have started them again."""
    if move.site.agent.get_state().job_state != jobs.STOPPED:
        jobs.stop(move.site.agent)
    move.site.jobs_are_down = True


def _has_lost_its_disk(move: Move) -> bool:
    """Whether the disk that was made is gone, as when a process undid the move and could not write that down."""
    disk_cid = move.state.disk_cid
    if disk_cid is None or disk_cid == move.order.old_disk_cid:
        return False
    try:
        site = move.site if move.order.to is None else move.site.far
        return site is not None and not site.cloud.has_disk(disk_cid)
    except errors.Error:
        return False


def _strategy(wanted: Strategy | str) -> Strategy | None:
    if wanted == "auto":
        return None
    try:
        return Strategy(wanted)
    except ValueError as error:
        known = ", ".join(("auto", *(strategy.value for strategy in Strategy)))
        raise MoveRefused(f"unknown strategy {wanted!r}; known strategies: {known}") from error


def _verify(wanted: Verify | str) -> Verify:
    try:
        return Verify(wanted)
    except ValueError as error:
        raise MoveRefused(
            f"unknown comparison {wanted!r}; known comparisons: {', '.join(how.value for how in Verify)}"
        ) from error
