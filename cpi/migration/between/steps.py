"""The steps of a move between clouds, from the VM on the other cloud to the jobs that run there."""

import contextlib
import datetime as dt
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from cpi.agent import jobs
from cpi.agent.errors import AgentError
from cpi.agent.shell import remove_users
from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.kit.secret_references import resolved
from cpi.migration import copying, holding
from cpi.migration.between import passing, proving, scripts
from cpi.migration.between.crossing import Crossing
from cpi.migration.between.destination import Destination
from cpi.migration.between.far import FarSite
from cpi.migration.extent import check_extent
from cpi.migration.guest import REPAIR, NoRoom
from cpi.migration.live_steps import made_by, told_last
from cpi.migration.moving import Move, State, Step
from cpi.migration.stopping import expected_seconds

T = TypeVar("T")

_NOTHING_MADE: Final = (errors.VMCreationFailed, errors.NetworkNotFound, errors.NoDiskSpace, errors.CpiError)
"""After these a driver has removed what it had made."""


def _to(move: Move) -> Destination:
    if move.order.to is None:
        raise errors.CpiError("the move stays in its cloud")
    return move.order.to


def _other(move: Move) -> FarSite:
    if move.site.far is None:
        raise errors.CpiError("the other cloud is not known")
    return move.site.far


def _far(move: Move) -> FarSite:
    return _other(move).at(move.state.new_vm_cid)


def _across(move: Move, call: Callable[[Crossing], T]) -> T:
    far = _far(move)

    def leave() -> None:
        with contextlib.suppress(errors.Error):
            far.leave_guest()
        move.site.leave_guest()

    return passing.patiently(lambda: far.crossing(move.site, move.order.move_id), leave, call)


# ---------------------------------------------------------------------- the VM and its disk


def _create_vm(move: Move) -> State:
    to = _to(move)
    made = _other(move).cloud.create_vm(
        to.agent_id(move.order.token),
        to.stemcell,
        resolved(to.properties),
        to.revealed_networks(),
        (),
        resolved(to.env),
        move.order.token,
    )
    return msgspec.structs.replace(move.state, new_vm_cid=made.cid)


def _delete_vm(move: Move) -> None:
    far = _other(move)
    with contextlib.suppress(errors.Error):  # the users there go with the VM
        far.leave_guest()
    vm_cid = move.state.new_vm_cid or _vm_made_perhaps(move)
    if vm_cid is not None:
        _refuse_in_use(far.at(vm_cid))
        with contextlib.suppress(errors.VMNotFound):
            far.cloud.delete_vm(vm_cid)
        far.is_ours = False


def _vm_made_perhaps(move: Move) -> VmCid | None:
    """Without a CID it is not known whether a VM was made: the token finds it, or makes it, and then there is one to delete."""
    try:
        return _create_vm(move).new_vm_cid
    except _NOTHING_MADE:
        return None


def _name_vm(move: Move) -> State:
    far = _far(move)
    with contextlib.suppress(errors.NotImplemented):
        far.cloud.set_vm_metadata(far.vm_cid, {**_to(move).metadata, "move_id": move.order.move_id})
    far.agent.wait_until_ready()
    _refuse_in_use(far)
    return move.state


def _refuse_in_use(far: FarSite) -> None:
    """An earlier attempt of which there is no record may have got to its end: what is there now is newer than what is here."""
    with contextlib.suppress(AgentError):
        if any(process.state == jobs.RUNNING for process in far.agent.get_state().processes):
            raise errors.CloudError(
                f"the jobs already run on {far.vm_cid}: an earlier attempt of this move has got there; nothing there is touched"
            )


def _create_disk(move: Move) -> State:
    order = move.order
    made = _other(move).cloud.create_disk(order.size, order.cloud_properties, _far(move).vm_cid, order.token)
    return msgspec.structs.replace(move.state, disk_cid=made)


def _delete_disk(move: Move) -> None:
    cloud, disk_cid = _other(move).cloud, move.state.disk_cid or _disk_made_perhaps(move)
    _refuse_in_use(_far(move))
    if disk_cid is not None and cloud.has_disk(disk_cid):
        cloud.delete_disk(disk_cid)


def _disk_made_perhaps(move: Move) -> DiskCid | None:
    try:
        return _create_disk(move).disk_cid
    except errors.NoDiskSpace:
        return None


def _attach_disk(move: Move) -> State:
    _far(move).attach(move.disk_cid, move.tags)
    return move.state


def _detach_disk(move: Move) -> None:
    far = _far(move)
    _refuse_in_use(far)
    # the VM and the disk are deleted next: what its agent cannot do any more need not be done
    with contextlib.suppress(errors.Error):
        move.site.guest(move.order.move_id).end_leftovers()
    with contextlib.suppress(errors.Error):
        far.leave_guest()
    with contextlib.suppress(errors.Error):
        far.agent.ping()
        far.detach(move.disk_cid)
    if not far.is_gone() and far.is_attached(move.disk_cid):
        with contextlib.suppress(errors.DiskNotAttached, errors.DiskNotFound, errors.VMNotFound):
            far.cloud.detach_disk(far.vm_cid, move.disk_cid)


# ---------------------------------------------------------------------- the data


def _copy(move: Move) -> State:
    return _across(move, lambda crossing: _copied(move, crossing))


def _copied(move: Move, crossing: Crossing) -> State:
    unfit = crossing.far.unfit()
    if unfit:
        raise errors.CloudError(f"the new guest cannot take the data: {unfit}")
    larger = check_extent(crossing.far, crossing.far.store, move.order.size)
    _check_room(crossing)
    limits, tell = move.order.limits, move.site.tell
    nodes, files, size = copying.skipped(crossing.old)
    first = passing.copy_all(crossing, limits, files, size, tell)
    passes, reason = passing.copy_until_little_is_left(crossing, limits, (first,), tell)
    passes = made_by("copy_across", passes)
    notes = [*larger, f"the data went {_words(crossing)}", f"{len(passes)} passes while the jobs ran: {reason}"]
    if nodes:
        notes.append(f"{nodes} sockets were left out: programs create them when they start")
    return msgspec.structs.replace(move.state, passes=passes, notes=(*move.state.notes, *notes))


def _words(crossing: Crossing) -> str:
    ways = {"direct": "directly from the old guest to the new one", "worker": "through the machine that ran the move"}
    return ways[crossing.way.value]


def _check_room(crossing: Crossing) -> None:
    used, there = crossing.old.room(crossing.old.store), crossing.far.room(crossing.far.store)
    if copying.why_no_room(used, there):
        used = crossing.old.room(crossing.old.store, exact=True)
    reason = copying.why_no_room(used, there)
    if reason:
        raise NoRoom(f"the data does not fit: {reason}")


def _verify(move: Move) -> State:
    far = _far(move)
    # mounted anew, so that it is the disk that is read and not the guest's memory
    far.remount(move.disk_cid)
    return _across(move, lambda crossing: _verified(move, crossing))


def _verified(move: Move, crossing: Crossing) -> State:
    limits, tell = move.order.limits, move.site.tell
    verified = proving.verify_all(crossing)
    passes = (*move.state.passes, passing.copy_changes(crossing, limits, len(move.state.passes) + 1, tell))
    proving.verify_doubtful(crossing)
    passes, _ = passing.copy_until_little_is_left(crossing, limits, passes, tell, since=len(passes) - 1)
    proving.check_lasting(crossing)
    faults = crossing.old.faults()
    if faults:
        raise errors.CloudError(
            f"the filesystem on {move.order.old_disk_cid} has recorded errors ({faults}); what to do: {REPAIR}"
        )
    held = holding.strangers(crossing.old)
    notes = move.state.notes
    if held:
        notes += (f"just before the jobs were stopped, the disk was in use by a process that is not a job: {holding.told(held)}",)
    passes = made_by("verify_across", passes)
    return msgspec.structs.replace(
        move.state,
        passes=passes,
        verified_bytes=verified.size,
        verified_files=verified.files,
        expected_down_seconds=expected_seconds(passes),
        notes=notes,
    )


def _apply(move: Move) -> State:
    spec = _to(move).spec
    if spec is not None:
        _far(move).agent.apply(resolved(spec))
    return move.state


def _copy_last(move: Move) -> State:
    made, writable = _across(move, lambda crossing: passing.copy_last(crossing, len(move.state.passes) + 1, move.order.verify))
    notes = (f"the old disk could be written to until the end: {writable}",) if writable else ()
    passes = (*move.state.passes, *made_by("copy_last_across", (made,)))
    return msgspec.structs.replace(move.state, passes=passes, notes=(*move.state.notes, *notes))


def _verify_last(move: Move) -> State:
    verified = _across(move, proving.verify_changes)
    notes = told_last(verified, move.order.verify, "compared by checksums")
    return msgspec.structs.replace(move.state, listed_paths=verified.paths, notes=(*move.state.notes, *notes))


# ---------------------------------------------------------------------- the new side


def _start_jobs(move: Move) -> State:
    with contextlib.suppress(errors.Error):  # a guest that is gone needs no mark
        guest = move.site.guest(move.order.move_id)
        guest.ask(scripts.MARK, guest.moved)
    far = _far(move)
    if not move.jobs_shall_run:
        return move.state
    mounted = far.agent.list_disk()
    if mounted != (move.disk_cid,):
        raise jobs.NotStarted(f"the jobs stay stopped: {far.vm_cid} does not have {move.disk_cid} alone mounted")
    jobs.start(far.agent)
    return move.state


def _release_old_disk(move: Move) -> State:
    """The old disk stays attached to its VM, so that it can be mounted again, and nothing writes to it."""
    site, old = move.site, move.order.old_disk_cid
    with contextlib.suppress(errors.Error):  # notes that are left in a guest do no harm
        site.guest(move.order.move_id).end_leftovers()
    if old in site.agent.list_disk():
        site.agent.unmount_disk(old)
    return move.state


def _leave_guests(move: Move) -> State:
    """Nothing of the move stays in either guest, also of a process that was killed."""
    far = _far(move)
    with contextlib.suppress(errors.Error):
        far.guest(move.order.move_id).end_leftovers()
    far.leave_guest()
    remove_users(far.agent)
    far.is_ours = False
    move.site.leave_guest()
    return move.state


def _tag_disks(move: Move) -> State:
    now = dt.datetime.now(dt.UTC)
    until = now + dt.timedelta(hours=_to(move).keep_hours)
    at, kept = now.isoformat(timespec="seconds"), until.isoformat(timespec="seconds")
    new, old = str(move.disk_cid), str(move.order.old_disk_cid)
    far, name = _far(move), move.site.cloud.name
    far.tag(move.disk_cid, {**move.tags, "moved_from": old, "moved_from_cloud": name})
    move.site.tag(
        move.order.old_disk_cid,
        {
            "orphaned_at": at,
            "orphaned_from": str(move.order.vm_cid),
            "replaced_by": new,
            "replaced_in_cloud": far.cloud.name,
            "kept_until": kept,
            "move_id": move.order.move_id,
        },
    )
    return msgspec.structs.replace(move.state, orphaned_at=at, kept_until=kept)


BETWEEN_STEPS: Final[dict[str, Step]] = {
    "create_vm_there": Step("create the VM on the other cloud", _create_vm, _delete_vm, "delete the VM on the other cloud"),
    "wait_for_vm_there": Step("wait for the new VM's agent", _name_vm),
    "create_disk_there": Step(
        "create the disk on the other cloud", _create_disk, _delete_disk, "delete the disk on the other cloud"
    ),
    "attach_there": Step("attach the new disk to the new VM", _attach_disk, _detach_disk, "detach the new disk"),
    "copy_across": Step("copy the data while the jobs run", _copy),
    "verify_across": Step("compare both disks while the jobs run", _verify),
    "apply_there": Step("give the new VM its jobs", _apply),
    "copy_last_across": Step("copy what changed last", _copy_last),
    "verify_last_across": Step("compare what changed last", _verify_last),
    "start_jobs_there": Step("start the jobs on the new VM", _start_jobs),
    "release_old_disk": Step("unmount the old disk", _release_old_disk),
    "leave_guests": Step("remove the move's users from both VMs", _leave_guests),
    "tag_disks": Step("mark both disks", _tag_disks),
}
