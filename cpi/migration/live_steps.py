"""The steps of a live copy, from the disk beside the store to the swap."""

import contextlib
from typing import Final

import msgspec

from cpi.contract import errors
from cpi.migration import copying, holding, scripts, verifying
from cpi.migration.extent import check_extent
from cpi.migration.guest import REPAIR, Guest
from cpi.migration.moving import Move, State, Step
from cpi.migration.report import Pass, Verify
from cpi.migration.stopping import check_worth, expected_seconds

_CALMER: Final = ", so they were not stopped; use --strategy copy, or wait for a calmer time"


def _guest(move: Move) -> Guest:
    return move.site.guest(move.order.move_id)


def _attach_beside(move: Move) -> State:
    move.site.attach(move.disk_cid, move.tags)
    _guest(move).remember(move.order.old_disk_cid)
    return move.state


def _take_away(move: Move) -> None:
    move.site.unless_gone(lambda: _take_away_from_vm(move))


def _take_away_from_vm(move: Move) -> None:
    guest = _guest(move)
    # what runs there keeps the new disk busy; if the guest cannot be asked, the agent may still be able to unmount it
    with contextlib.suppress(errors.Error):
        guest.end_leftovers()
    move.site.detach(move.disk_cid)
    guest.remember(move.order.old_disk_cid)


def _copy_live(move: Move) -> State:
    guest, limits = _guest(move), move.order.limits
    larger = check_extent(guest, guest.target, move.order.size)
    copying.check_room(guest)
    nodes, files, size = copying.skipped(guest)
    first = copying.copy_all(guest, limits, files, size, move.site.tell)
    passes, reason = copying.copy_until_little_is_left(guest, limits, (first,), move.site.tell)
    _check_worth(move, passes)
    passes = made_by("copy_live", passes)
    notes = [*larger, f"{len(passes)} passes while the jobs ran: {reason}"]
    if nodes:
        notes.append(f"{nodes} sockets were left out: programs create them when they start")
    return msgspec.structs.replace(move.state, passes=passes, notes=(*move.state.notes, *notes))


def _verify_live(move: Move) -> State:
    guest, site = _guest(move), move.site
    # mounted anew, so that it is the disk that is read and not the guest's memory
    if move.disk_cid in site.agent.list_disk():
        site.agent.unmount_disk(move.disk_cid)
    site.agent.mount_disk(move.disk_cid)
    guest.remember(move.order.old_disk_cid)
    verified = verifying.verify_all(guest)
    passes = (*move.state.passes, copying.copy_changes(guest, move.order.limits, len(move.state.passes) + 1, site.tell))
    verifying.verify_doubtful(guest)
    passes, _ = copying.catch_up(guest, move.order.limits, passes, site.tell)
    verifying.check_lasting(guest)
    faults = guest.faults()
    if faults:
        raise errors.CloudError(
            f"the filesystem on {move.order.old_disk_cid} has recorded errors ({faults}); what to do: {REPAIR}"
        )
    _check_worth(move, passes)
    held = holding.strangers(guest)
    state = _after_verifying(move.state, verified, made_by("verify_live", passes))
    if not held:
        return state
    note = f"just before the jobs were stopped, the disk was in use by a process that is not a job: {holding.told(held)}"
    return msgspec.structs.replace(state, notes=(*state.notes, note))


def _check_worth(move: Move, passes: tuple[Pass, ...]) -> None:
    # a first pass that went on where an earlier try was tells nothing of how long copying everything takes
    if move.facts.new_disk_cid is None:
        check_worth(passes, move.order.limits, _CALMER if move.order.strategy else "")


def made_by(step: str, passes: tuple[Pass, ...]) -> tuple[Pass, ...]:
    """The passes, those that are new as made by this step."""
    return tuple(made if made.step else msgspec.structs.replace(made, step=step) for made in passes)


def _after_verifying(state: State, verified: verifying.Verified, passes: tuple[Pass, ...]) -> State:
    strange = sum(made.strange for made in passes)
    notes = (f"{strange} paths differed although they had not changed, and were copied again",) if strange else ()
    return msgspec.structs.replace(
        state,
        passes=passes,
        verified_bytes=verified.size,
        verified_files=verified.files,
        expected_down_seconds=expected_seconds(passes),
        notes=(*state.notes, *notes),
    )


def _copy_last(move: Move) -> State:
    guest = _guest(move)
    made, writable = copying.copy_last(guest, len(move.state.passes) + 1)
    notes = (f"the old disk could be written to until the swap: {writable}",) if writable else ()
    passes = (*move.state.passes, *made_by("copy_last", (made,)))
    return msgspec.structs.replace(move.state, passes=passes, notes=(*move.state.notes, *notes))


def _verify_last(move: Move) -> State:
    verified = verifying.verify_changes(_guest(move), move.order.verify)
    notes = told_last(verified, move.order.verify, "compared byte by byte")
    return msgspec.structs.replace(move.state, listed_paths=verified.paths, notes=(*move.state.notes, *notes))


def told_last(verified: verifying.Verified, what: Verify, how: str) -> tuple[str, ...]:
    """The notes of a comparison with the jobs down."""
    read = "everything" if what is Verify.FULL else "what changed or was in doubt"
    told = (
        f"with the jobs down {verified.paths} paths were listed on both disks, and agree in name, kind, size, links, owner, mode"
        f" and time; {read}, {verified.files} files with {verified.size} bytes, was read from both and {how}"
    )
    again = f"{verified.differing} paths differed after the last pass, and were copied again"
    return (told, again) if verified.differing else (told,)


def _empty_new_disk(move: Move) -> State:
    guest = _guest(move)
    guest.run(scripts.EMPTY)
    # what was copied while the jobs ran is gone, and so is what was told of it
    return msgspec.structs.replace(move.state, passes=(), verified_bytes=None, verified_files=None, expected_down_seconds=None)


def _swap_disks(move: Move) -> State:
    new, old, agent = move.disk_cid, move.order.old_disk_cid, move.site.agent
    mounted = agent.list_disk()
    if mounted != (new,):
        for cid in (new, old):
            if cid in mounted:
                agent.unmount_disk(cid)
        agent.mount_disk(new)
        mounted = agent.list_disk()
    if mounted != (new,):
        raise errors.CloudError(f"the agent did not mount {new}; it has {', '.join(mounted) or 'nothing'} mounted")
    return move.state


def _swap_back(move: Move) -> None:
    new, old, agent = move.disk_cid, move.order.old_disk_cid, move.site.agent
    mounted = agent.list_disk()
    if old in mounted:
        return  # the new one is taken away first, so the old one never ceased to be the store
    if new in mounted:
        agent.unmount_disk(new)
    agent.mount_disk(old)


LIVE_STEPS: Final[dict[str, Step]] = {
    "attach_beside": Step("attach the new disk beside the old one", _attach_beside, _take_away, "detach the new disk"),
    "copy_live": Step("copy the data while the jobs run", _copy_live),
    "empty_new_disk": Step("remove what was copied while the jobs ran", _empty_new_disk),
    "verify_live": Step("compare both disks while the jobs run", _verify_live),
    "copy_last": Step("copy what changed last", _copy_last),
    "verify_last": Step("compare what changed last", _verify_last),
    "swap_disks": Step("mount the new disk in the old one's place", _swap_disks, _swap_back, "mount the old disk again"),
}
