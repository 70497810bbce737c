"""create_vm: as one transaction, over several types and zones if need be."""

import logging
from typing import Final

from cpi.contract import errors as contract_errors
from cpi.contract.ids import VmCid
from cpi.contract.model import Vm
from cpi.kit.undo import Undo
from cpi_drivers.aws.api import errors
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.api.facts import RootDisk
from cpi_drivers.aws.networks import requested as networks
from cpi_drivers.aws.vms.launch import Item, find_by_token, launch, wait_until_running
from cpi_drivers.aws.vms.post_launch import PostLaunch
from cpi_drivers.aws.vms.request import Candidate, WantedVm, candidates

_log = logging.getLogger(__name__)

_TRIES_AFTER_SUDDEN_END: Final = 3


def create(account: Account, wanted: WantedVm) -> Vm:
    """A running VM, wired. Raises VMCreationFailed, honest about a repeat; whatever is raised, what was made is removed."""
    wires = PostLaunch(account, wanted)
    dead = 0
    if wanted.token:
        found, dead = find_by_token(account, wanted.token)
        if found is not None:
            return _taken_up(account, wanted, wires, VmCid(found["InstanceId"]))
    tries = candidates(account, wanted)
    root = account.facts.root_disk(wanted.ami)
    refused: list[str] = []
    causes: list[errors.Refused] = []
    for candidate in tries:
        try:
            return _tried(account, wanted, wires, candidate, root, dead)
        except _TryNextCandidate as passing:
            _log.warning("%s: %s", candidate, passing.cause.message)
            refused.append(f"{candidate}: {passing.cause.message}")
            causes.append(passing.cause)
            last = passing
    again = last.clean and any(isinstance(one, errors.NoCapacity) and not isinstance(one, errors.NotOffered) for one in causes)
    raise contract_errors.VMCreationFailed(_summary(refused), ok_to_retry=again) from last.cause


class _TryNextCandidate(Exception):
    """A candidate cannot be had; another may."""

    def __init__(self, cause: errors.Refused, *, clean: bool) -> None:
        super().__init__(cause.message)
        self.cause = cause
        self.clean = clean


def _tried(account: Account, wanted: WantedVm, wires: PostLaunch, candidate: Candidate, root: RootDisk, dead: int) -> Vm:
    """Raises _TryNextCandidate for missing capacity and quota, VMCreationFailed for the rest."""
    for left in reversed(range(_TRIES_AFTER_SUDDEN_END)):
        undo = Undo()
        try:
            with undo:
                vm = launch(account, wanted, candidate, root, undo, dead=dead)
                wires.connect(vm, undo)
                return _as_vm(wanted, vm)
        except (errors.NoCapacity, errors.QuotaReached, errors.NoRoom) as error:
            if not undo.clean:
                raise _failed(error, clean=False) from error
            raise _TryNextCandidate(error, clean=undo.clean) from error
        except errors.Refused as error:
            if undo.clean and _leads_to_ordinary_vm(wanted, candidate, error):
                raise _TryNextCandidate(error, clean=True) from error
            if isinstance(error, errors.KeyUnusable):
                error.message += f"; its disks are encrypted with {_keys(account, wanted)}"
            if error.code == "InternalError" and not isinstance(error, errors.AnswerLost) and left and undo.clean:
                _log.warning("%s; trying again", error.message)
                continue
            raise _failed(error, clean=undo.clean) from error
        except contract_errors.CloudError as error:
            raise _failed(error, clean=undo.clean) from error
    raise AssertionError("the last try returns or raises")


def _leads_to_ordinary_vm(wanted: WantedVm, candidate: Candidate, error: errors.Refused) -> bool:
    """Whatever keeps a spot VM from being made, the ordinary one is tried; the caller's own key would serve that no better."""
    return candidate.spot and wanted.properties.spot_ondemand_fallback and not isinstance(error, errors.CredentialsRefused)


def _keys(account: Account, wanted: WantedVm) -> str:
    named = {account.settings.kms_key_arn, wanted.properties.ephemeral_disk.kms_key_arn} - {None}
    return " and ".join(sorted(map(str, named))) or "the account's default key for EBS, or that of the stemcell"


def _taken_up(account: Account, wanted: WantedVm, wires: PostLaunch, vm_cid: VmCid) -> Vm:
    """The VM that an earlier call with this token made, finished."""
    _log.info("%s was made by an earlier call with this token", vm_cid)
    vm = wait_until_running(account, vm_cid)
    with Undo() as undo:
        wires.connect(vm, undo)
    return _as_vm(wanted, vm)


def _as_vm(wanted: WantedVm, vm: Item) -> Vm:
    nics = vm.get("NetworkInterfaces", [])
    return Vm(VmCid(vm["InstanceId"]), networks.resolved_networks(wanted.networks, wanted.plan, nics))


_NOT_THE_VMS_FAULT = (errors.Denied, errors.NetworkMissing, errors.DiskMissing)
_PASSING = (errors.NoCapacity, errors.Throttled, errors.Unreached, errors.AnswerLost)


def _failed(error: contract_errors.CloudError, *, clean: bool) -> contract_errors.CloudError:
    message = error.message if clean else f"{error.message}; what was made could not all be removed, see the log"
    if isinstance(error, errors.Refused) and error.not_yet:
        return contract_errors.VMCreationFailed(message, ok_to_retry=clean)
    if isinstance(error, _NOT_THE_VMS_FAULT) and clean:
        return error
    passing = isinstance(error, _PASSING) or not isinstance(error, errors.Refused) or error.code == "InternalError"
    return contract_errors.VMCreationFailed(message, ok_to_retry=clean and passing)


def _summary(refused: list[str]) -> str:
    if len(refused) == 1:
        return refused[0]
    return "none of the VM types and zones can be had:\n" + "\n".join(f"  {reason}" for reason in refused)
