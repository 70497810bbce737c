"""Errors as plain values: what a part of a move raised is kept with what the others answered."""

from collections.abc import Mapping
from typing import Any, Final

from cpi.agent import errors as agent_errors
from cpi.agent.jobs import NotStarted
from cpi.contract import errors
from cpi.kit.redaction import scrubbed
from cpi.kit.waiting import Overdue
from cpi.migration.disks import VmGone
from cpi.migration.report import MoveRefused
from cpi.migration.stopping import NotWorth


class MoveCancelled(errors.CloudError):
    """Somebody asked for the move to be given up."""


_KNOWN: Final[dict[str, type[errors.Error]]] = {
    known.__name__: known
    for known in (
        errors.CpiError, errors.NotImplemented, errors.NotSupported, errors.CloudError, errors.VMNotFound,
        errors.NetworkNotFound, errors.NoDiskSpace, errors.DiskNotAttached, errors.DiskNotFound, errors.VMCreationFailed,
        agent_errors.AgentError, agent_errors.AgentUnreachable, agent_errors.AgentTimeout, agent_errors.AgentTaskFailed,
        agent_errors.AgentUnknownMessage, Overdue, NotStarted, MoveRefused, MoveCancelled, VmGone, NotWorth,
    )
}  # fmt: skip


def to_plain(error: errors.Error) -> dict[str, Any]:
    """What is kept of an error: what it is, from the nearest class to the farthest, and what it says, without secrets."""
    kinds = [kind.__name__ for kind in type(error).__mro__ if issubclass(kind, errors.Error)]
    return {"kinds": kinds, "message": scrubbed(error.message), "ok_to_retry": error.ok_to_retry}


def from_plain(kept: Mapping[str, Any]) -> errors.Error:
    """The error again, as the nearest class that this program knows."""
    kind = next((_KNOWN[name] for name in kept["kinds"] if name in _KNOWN), errors.CloudError)
    error = kind(kept["message"])
    error.ok_to_retry = kept["ok_to_retry"]
    return error
