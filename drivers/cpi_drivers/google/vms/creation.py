"""create_vm: as one transaction, over several types and zones if need be."""

import itertools
import logging
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from cpi.contract import errors as contract_errors
from cpi.contract.ids import VmCid
from cpi.contract.model import Vm
from cpi.kit.undo import Undo
from cpi_drivers.google import naming, tags
from cpi_drivers.google.api import errors, inventory
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.disks import lifecycle as disks
from cpi_drivers.google.networks import requested as interfaces
from cpi_drivers.google.vms import balancing, launch, placement
from cpi_drivers.google.vms import lifecycle as vms
from cpi_drivers.google.vms.request import Candidate, Wish, candidates

_log = logging.getLogger(__name__)

Item = dict[str, Any]


def create(account: Account, wish: Wish) -> Vm:
    """A running VM, wired. Raises VMCreationFailed, honest about a repeat; whatever is raised, what was made is removed."""
    tries = candidates(account, wish)
    found = _made_before(account, wish) if len({one.zone for one in tries}) > 1 else None
    if found is not None:
        return _finished(account, wish, naming.last(found["zone"]), found, Undo())
    refused: list[str] = []
    for candidate in tries:
        try:
            return _tried(account, wish, candidate)
        except _TryNextCandidate as passing:
            _log.warning("%s: %s", candidate, passing.cause.message)
            refused.append(f"{candidate}: {passing.cause.message}")
            last = passing
    again = last.clean and isinstance(last.cause, errors.NoCapacity)
    raise contract_errors.VMCreationFailed(_summary(refused), ok_to_retry=again) from last.cause


class _TryNextCandidate(Exception):
    """A candidate cannot be had; another may."""

    def __init__(self, cause: errors.Refused, *, clean: bool) -> None:
        super().__init__(cause.message)
        self.cause = cause
        self.clean = clean


def _tried(account: Account, wish: Wish, candidate: Candidate) -> Vm:
    """Raises _TryNextCandidate for missing capacity and quota, VMCreationFailed for the rest."""
    undo = Undo()
    try:
        with undo:
            item = _launched(account, wish, candidate, undo)
            return _finished(account, wish, candidate.zone, item, undo)
    except (errors.NoCapacity, errors.QuotaReached) as error:
        if not undo.clean:
            raise _failed(wish, error, clean=False) from error
        raise _TryNextCandidate(error, clean=True) from error
    except contract_errors.CloudError as error:
        raise _failed(wish, error, clean=undo.clean) from error


def _launched(account: Account, wish: Wish, candidate: Candidate, undo: Undo) -> Item | None:
    """The VM, running; None where nothing but its name is known. Makes the placement policy of its instance group if need be."""
    body = launch.body(account, wish, candidate)
    requests = _requests(naming.request_id("vm", wish.seed, candidate, body))

    def launched() -> Item | None:
        try:
            return _begun_or_found(account, wish, candidate, body, requests, undo)
        except (errors.PolicyMissing, errors.NotReady) as error:
            if not placement.make(account, wish.properties, wish.group, naming.region_of(candidate.zone), undo):
                raise
            raise errors.Stale(error.message) from error  # now it is there, unless the last VM took it away again

    return account.anew(launched)


def _requests(first: str) -> Iterator[str]:
    """Ids of requests: the one that a repeat of the whole call has again, then new ones."""
    yield first
    while True:
        yield str(uuid.uuid4())


def _begun_or_found(
    account: Account, wish: Wish, candidate: Candidate, body: Item, requests: Iterator[str], undo: Undo
) -> Item | None:
    for request in itertools.islice(requests, 2):
        old, item = _begun(account, wish, candidate, body, request, undo)
        if not old or item is not None:
            return item
    raise contract_errors.CloudError(f"Google made {wish.name} and has no such VM: somebody deletes it at the same time")


def _begun(account: Account, wish: Wish, candidate: Candidate, body: Item, request: str, undo: Undo) -> tuple[bool, Item | None]:
    """Whether the answer is of an earlier call; and the VM, if that is so and it lives."""

    def ours() -> None:
        undo.push(f"VM {wish.name}", lambda: _remove_ours(account, wish, candidate.zone))

    def insert(wanted: Item) -> Item:
        its = request if wanted == body else naming.request_id(request, wanted)
        return disks.beginning(lambda: account.client.call("instances.insert", wanted, zone=candidate.zone, requestId=its), ours)

    try:
        told = _inserted(account, wish, body, insert)
    except errors.Exists:
        return True, _taken_up(account, wish, candidate)
    if told["status"] == "DONE" and (wish.token or not told.get("error")):
        return True, _taken_up(account, wish, candidate)
    ours()
    account.client.finished("instances.insert", told, deadline_seconds=account.patience.vm_running)
    return False, None


def _inserted(account: Account, wish: Wish, body: Item, insert: Callable[[Item], Item]) -> Item:
    """With the labels that the role allows, and a root disk as large as the image where that is larger than the usual one."""
    try:
        return tags.made(account, "instances", body, insert)
    except errors.Refused as error:
        if "diskSizeGb" not in error.message or not launch.has_usual_root_disk(account, wish):
            raise
        _log.info("the root disk is as large as its image: %s", error.message)
        return tags.made(account, "instances", launch.as_large_as_its_image(body), insert)


def _made_before(account: Account, wish: Wish) -> Item | None:
    """The living VM that an earlier call with this token made, in whatever zone."""
    if not wish.token:
        return None
    found = inventory.everywhere(account, "instances", tags.having(tags.TOKEN, tags.spelled_token(wish.token)))
    living = [item for item in found if inventory.is_alive(account, VmCid(item["name"]))]
    return _until_running(account, wish, naming.last(living[0]["zone"])) if living else None


def _taken_up(account: Account, wish: Wish, candidate: Candidate) -> Item | None:
    """The VM of that name, once it runs; None if it is gone. Raises CloudError if it is somebody else's."""
    item = _until_running(account, wish, candidate.zone)
    if item is None:
        return None
    if not _is_ours(account, item, wish):
        raise errors.Exists(f"there is another VM named {wish.name} in {candidate.zone}")
    _log.info("%s was made by an earlier call", wish.name)
    return item


def _is_ours(account: Account, item: Item, wish: Wish) -> bool:
    """By its label. One that may have none is known by its name, unless an operator chose that."""
    found: str | None = item.get("labels", {}).get(tags.TOKEN)
    nameless = found is None and "instances" in account.unlabelled and not wish.properties.name
    return nameless or found == tags.spelled_token(wish.seed)


def _remove_ours(account: Account, wish: Wish, zone: str) -> None:
    """An operator may choose a VM's name: where an answer was lost, the VM that has it may be another."""
    try:
        item = account.client.call("instances.get", zone=zone, instance=wish.name)
    except errors.VmMissing:
        return
    if _is_ours(account, item, wish):
        vms.remove(account, zone, wish.name)


def _until_running(account: Account, wish: Wish, zone: str) -> Item | None:
    """The VM once it is made; None if it is gone, because the call that began it failed or it was deleted."""

    def settled() -> tuple[Item | None] | None:
        try:
            item = account.client.call("instances.get", zone=zone, instance=wish.name)
        except errors.VmMissing:
            return (None,)
        return None if item["status"] in ("PROVISIONING", "STAGING", "STOPPING") else (item,)

    return account.wait(settled, f"the VM {wish.name} does not run", account.patience.vm_running)[0]


def _finished(account: Account, wish: Wish, zone: str, item: Item | None, undo: Undo) -> Vm:
    """In its load balancers, with the addresses that it got."""
    balancing.join(account, wish.properties, zone, wish.name, undo)
    if item is None and interfaces.needs_addresses(wish.networks):
        item = account.client.call("instances.get", zone=zone, instance=wish.name)
    nics = item.get("networkInterfaces", []) if item else []
    return Vm(VmCid(wish.name), interfaces.resolved_networks(wish.networks, wish.plan, nics))


_NOT_THE_VMS_FAULT = (errors.Denied, errors.NetworkMissing, errors.DiskMissing)
_PASSING = (errors.NoCapacity, errors.Throttled, errors.Unreached, errors.AnswerLost)


def _failed(wish: Wish, error: contract_errors.CloudError, *, clean: bool) -> contract_errors.CloudError:
    said = placement.explained(wish.properties, error)
    message = said if clean else f"{said}; what was made could not all be removed, see the log"
    if isinstance(error, _NOT_THE_VMS_FAULT) and clean:
        return error
    passing = isinstance(error, _PASSING) or not isinstance(error, errors.Refused)
    return contract_errors.VMCreationFailed(message, ok_to_retry=clean and passing)


def _summary(refused: list[str]) -> str:
    if len(refused) == 1:
        return refused[0]
    return "none of the machine types and zones can be had:\n" + "\n".join(f"  {reason}" for reason in refused)
