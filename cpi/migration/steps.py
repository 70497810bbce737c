"""The steps of a move. Each looks at what is true before it acts, so that it can be repeated; so does its undoing."""

import contextlib
import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cpi.agent import jobs
from cpi.contract import errors
from cpi.contract.ids import DiskCid
from cpi.contract.operator import ChangesAttachedDisks, GrowsAttachedDisks
from cpi.migration import verifying
from cpi.migration.between.steps import BETWEEN_STEPS
from cpi.migration.extent import check_extent
from cpi.migration.growing import grow_in_guest
from cpi.migration.guest import advice
from cpi.migration.live_steps import LIVE_STEPS
from cpi.migration.moving import Move, State, Step
from cpi.migration.report import Verify


def _stop_jobs(move: Move) -> State:
    jobs.stop(move.site.agent)
    move.site.jobs_are_down = True
    return move.state


def _start_jobs(move: Move) -> State:
    _start_on(move, move.disk_cid)
    return move.state


def _start_jobs_again(move: Move) -> None:
    # the last pass of a live copy makes the old disk read-only, a try before this one may have, and the jobs are to write to it
    if not move.facts.no_live_copy and move.order.old_disk_cid in move.site.agent.list_disk() and not _thawed(move):
        move.site.remount(move.order.old_disk_cid)
    # beside the store there may be the disk that a live copy has been filling
    _start_on(move, move.order.old_disk_cid, beside=move.state.disk_cid)


def _start_on(move: Move, disk_cid: DiskCid, beside: DiskCid | None = None) -> None:
    if not move.jobs_shall_run:
        return
    mounted = move.site.agent.list_disk()
    if disk_cid not in mounted or set(mounted) - {disk_cid, beside}:
        raise jobs.NotStarted(f"the jobs stay stopped: {disk_cid} is not mounted, and they would write beside it")
    jobs.start(move.site.agent)


def _attach_old_disk(move: Move) -> State:
    if move.order.old_disk_cid not in move.site.agent.list_disk():
        move.site.attach(move.order.old_disk_cid, {})
    return move.state


def _attach_old_disk_again(move: Move) -> None:
    _attach_old_disk(move)


def _detach_old_disk(move: Move) -> State:
    move.site.detach(move.order.old_disk_cid)
    return move.state


def _resize_disk(move: Move) -> State:
    move.site.cloud.resize_disk(move.order.old_disk_cid, move.order.size)
    return msgspec.structs.replace(move.state, disk_cid=move.order.old_disk_cid)


def _update_disk(move: Move) -> State:
    cloud, order = move.site.cloud, move.order
    try:
        updated = cloud.update_disk(order.old_disk_cid, order.size, order.cloud_properties)
    except errors.NotSupported:
        raise
    except errors.CloudError:
        if cloud.has_disk(order.old_disk_cid):
            raise
        # The old disk has been replaced already: a repeat finishes that and tells by what.
        updated = cloud.update_disk(order.old_disk_cid, order.size, order.cloud_properties)
    return msgspec.structs.replace(move.state, disk_cid=updated)


def _grow_attached_disk(move: Move) -> State:
    cloud, order = move.site.cloud, move.order
    if order.old_cloud_properties is None or order.old_cloud_properties == order.cloud_properties:
        if not isinstance(cloud, GrowsAttachedDisks):
            raise errors.NotSupported("the cloud cannot grow a disk that is attached")
        cloud.grow_attached_disk(order.vm_cid, order.old_disk_cid, order.size)
    else:
        if not isinstance(cloud, ChangesAttachedDisks):
            raise errors.NotSupported("the cloud cannot change a disk that is attached")
        cloud.change_attached_disk(order.vm_cid, order.old_disk_cid, order.size, order.cloud_properties)
    return msgspec.structs.replace(move.state, disk_cid=order.old_disk_cid)


def _grow_in_guest(move: Move) -> State:
    grow_in_guest(move.site.guest(move.order.move_id), move.order.size)
    move.site.tag(move.disk_cid, move.tags)
    return move.state


def _attach_disk(move: Move) -> State:
    move.site.attach(move.disk_cid, move.tags)
    if move.facts.no_live_copy:
        return move.state
    guest = move.site.guest(move.order.move_id)
    try:
        check_extent(guest, guest.store, move.order.size)
    except errors.CloudError as error:  # the disk has its new size: there is no way back
        return msgspec.structs.replace(move.state, notes=(*move.state.notes, error.message))
    return move.state


def _snapshot_disk(move: Move) -> State:
    if move.state.snapshot_cid is not None:
        return move.state
    return msgspec.structs.replace(move.state, snapshot_cid=move.site.cloud.snapshot_disk(move.order.old_disk_cid, move.tags))


def _create_disk(move: Move) -> State:
    order = move.order
    made = move.site.cloud.create_disk(order.size, order.cloud_properties, order.vm_cid, order.token)
    return msgspec.structs.replace(move.state, disk_cid=made)


def _delete_new_disk(move: Move) -> None:
    disk_cid = move.state.disk_cid or _made_perhaps(move)
    if disk_cid is not None and move.site.cloud.has_disk(disk_cid):
        move.site.cloud.delete_disk(disk_cid)


def _made_perhaps(move: Move) -> DiskCid | None:
    """Without a CID it is not known whether a disk was made: the token finds it, or makes it, and then there is one to delete."""
    try:
        return _create_disk(move).disk_cid
    except errors.VMNotFound:  # the disk is not found beside its VM any more, but by its token all the same
        order = move.order
        return move.site.cloud.create_disk(order.size, order.cloud_properties, None, order.token)
    except errors.NoDiskSpace:
        return None  # what has a token is found before room is asked for


def _attach_new_disk(move: Move) -> State:
    move.site.attach(move.disk_cid, move.tags)
    return move.state


def _take_new_disk_away(move: Move) -> None:
    move.site.unless_gone(lambda: _take_new_disk_from_vm(move))


def _take_new_disk_from_vm(move: Move) -> None:
    move.site.detach(move.disk_cid)
    if not move.facts.no_live_copy:
        with contextlib.suppress(errors.Error):  # notes that are left in a guest do no harm
            move.site.guest(move.order.move_id).end_leftovers()
    if not _thawed(move):
        move.site.remount(move.order.old_disk_cid)


def _thawed(move: Move) -> bool:
    """Whether the old disk is mounted and can be written to, by the guest's own doing."""
    if move.facts.no_live_copy or move.order.old_disk_cid not in move.site.agent.list_disk():
        return False
    guest = move.site.guest(move.order.move_id)
    try:
        guest.thaw()
        guest.remember(move.order.old_disk_cid)
    except errors.Error:
        return False
    return True


def _copy_data(move: Move) -> State:
    new, old, agent = move.disk_cid, move.order.old_disk_cid, move.site.agent
    guest = None if move.facts.no_live_copy else move.site.guest(move.order.move_id)
    notes = move.state.notes
    if agent.list_disk() != (new,):
        if guest is not None:
            notes += check_extent(guest, guest.target, move.order.size)
            verifying.list_before(guest, move.order.verify)
        try:
            agent.migrate_disk(old, new)
        except errors.CloudError as error:
            raise errors.CloudError(f"{error.message}{advice(error.message)}") from error
    mounted = agent.list_disk()
    if mounted != (new,):
        raise errors.CloudError(
            f"the agent reports that it copied the data, but it has {', '.join(mounted) or 'nothing'} mounted"
        )
    paths = None if guest is None else verifying.check_after(guest)
    return msgspec.structs.replace(move.state, listed_paths=paths, notes=(*notes, _compared(paths, move.order.verify)))


def _compared(paths: int | None, what: Verify) -> str:
    if paths is None:
        return "the agent copied the data; nothing was compared, for that takes a shell in the guest"
    content = "so do the checksums of all files;" if what is Verify.FULL else "content and"
    return (
        f"the agent copied the data; {paths} paths were listed on both disks with the jobs down, and agree in name, kind, size,"
        f" links, owner, mode and second of change; {content} attributes were not compared"
    )


def _mount_new_disk(move: Move) -> State:
    move.site.remount(move.disk_cid)
    return move.state


def _remove_old_disk(move: Move) -> State:
    if not move.facts.no_live_copy:
        with contextlib.suppress(errors.Error):  # notes that are left in a guest do no harm
            move.site.guest(move.order.move_id).end_leftovers()
    move.site.detach(move.order.old_disk_cid)
    return move.state


def _orphan_old_disk(move: Move) -> State:
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    move.site.tag(move.order.old_disk_cid, _tags_of_the_old(move, now))
    return msgspec.structs.replace(move.state, orphaned_at=now)


def _tags_of_the_old(move: Move, now: str) -> Mapping[str, Any]:
    return {
        "orphaned_at": now,
        "orphaned_from": str(move.order.vm_cid),
        "replaced_by": str(move.disk_cid),
        "move_id": move.order.move_id,
    }


STEPS: Final[dict[str, Step]] = {
    **LIVE_STEPS,
    **BETWEEN_STEPS,
    "snapshot_disk": Step("take a snapshot of the disk", _snapshot_disk),
    "stop_jobs": Step("stop the jobs", _stop_jobs, _start_jobs_again, "start the jobs on the old disk"),
    "attach_old_disk": Step("make sure that the old disk is mounted", _attach_old_disk),
    "detach_old_disk": Step("detach the disk", _detach_old_disk, _attach_old_disk_again, "attach the disk again"),
    "resize_disk": Step("let the cloud resize the disk", _resize_disk),
    "update_disk": Step("let the cloud update the disk", _update_disk),
    "attach_disk": Step("attach the disk", _attach_disk),
    "grow_attached_disk": Step("let the cloud grow the disk while it is in use", _grow_attached_disk),
    "grow_in_guest": Step("grow the partition and the filesystem while the jobs run", _grow_in_guest),
    "create_disk": Step("create the new disk", _create_disk, _delete_new_disk, "delete the new disk"),
    "attach_new_disk": Step("attach the new disk", _attach_new_disk, _take_new_disk_away, "detach the new disk"),
    "copy_data": Step("copy the data and mount the new disk in the old one's place", _copy_data),
    "mount_new_disk": Step("mount the new disk in the old one's place", _mount_new_disk),
    "remove_old_disk": Step("detach the old disk", _remove_old_disk),
    "orphan_old_disk": Step("mark the old disk as an orphan", _orphan_old_disk),
    "start_jobs": Step("start the jobs", _start_jobs),
}
