"""For whom a call is made, and what every call passes through before the driver sees it.

A long-lived director gives each call the id of its own request: Cloud.for_request. The id is known to this thread while the call
is under way, so that tags and log lines carry it whichever part of a driver writes them.
"""

import functools
import inspect
import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from cpi.contract import errors
from cpi.contract.model import CallContext


class Request(NamedTuple):
    """The director's request that a call belongs to; token is what create_vm and create_disk are repeated with."""

    id: str
    token: str | None = None


_current: ContextVar[Request | None] = ContextVar("multicpi_request", default=None)
_SIZED: Final = frozenset({"create_disk", "resize_disk", "update_disk"})
_NO_CALLS: Final = frozenset({"close", "for_request"})
_REPEATED: Final = frozenset({"create_vm", "create_disk"})


def request_id(context: CallContext) -> str:
    """The id of the request under way; outside of Cloud.for_request it is the one that the cloud was connected for."""
    request = _current.get()
    return request.id if request is not None else context.request_id


class RequestIdFilter(logging.Filter):
    """Gives log records a request_id, for a handler's format; it is "-" outside of a call of Cloud.for_request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keeps every record."""
        request = _current.get()
        record.request_id = request.id if request is not None else "-"
        return True


def pass_through(cloud: Any, contract: Any) -> None:
    """Lays it around the methods of the contract that a Cloud class has of its own."""
    for name, method in list(vars(cloud).items()):
        if name in _NO_CALLS or name.startswith("_") or not inspect.isfunction(method):
            continue
        if name in vars(contract) and method is not vars(contract)[name]:
            setattr(cloud, name, _passed_through(method))


def _passed_through(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a driver, with what all drivers check at the same place: sizes, and the request's id and token."""
    signature = inspect.signature(method)
    name = method.__name__

    @functools.wraps(method)
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        request: Request | None = vars(self).get("_request")
        if name in _SIZED or (name in _REPEATED and request is not None):
            bound = signature.bind(self, *arguments, **named)
            if name in _SIZED:
                _check_size(name, bound.arguments["size"])
            if name in _REPEATED and request is not None and bound.arguments.get("token") is None:
                bound.arguments["token"] = request.token
            arguments, named = bound.args[1:], bound.kwargs
        if request is None:
            return method(self, *arguments, **named)
        before = _current.set(request)
        try:
            return method(self, *arguments, **named)
        finally:
            _current.reset(before)

    return call


def _check_size(name: str, size: Any) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise errors.CpiError(f"{name}: the size must be a whole number of MiB, 1 at least, not {size!r}")
