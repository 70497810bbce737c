"""The request that a call belongs to, and the checks before every driver method.

A long-lived director gives each call the id of its own request: Cloud.for_request. While the call runs, its thread knows the id,
so that tags and log lines carry it whichever part of a driver writes them.
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
    """The director's request that a call belongs to; token makes create_vm and create_disk repeatable."""

    id: str
    token: str | None = None


_current: ContextVar[Request | None] = ContextVar("multicpi_request", default=None)
_SIZED: Final = frozenset({"create_disk", "resize_disk", "update_disk"})
_NO_CALLS: Final = frozenset({"close", "for_request"})
_REPEATED: Final = frozenset({"create_vm", "create_disk"})


def request_id(context: CallContext) -> str:
    """The id of the current request; outside of Cloud.for_request, the id given when the cloud was connected."""
    request = _current.get()
    return request.id if request is not None else context.request_id


class RequestIdFilter(logging.Filter):
    """Adds request_id to log records, for a handler's format; it is "-" outside of calls through Cloud.for_request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keeps every record."""
        request = _current.get()
        record.request_id = request.id if request is not None else "-"
        return True


def pass_through(cloud: Any, contract: Any) -> None:
    """Wrap the contract methods that a Cloud class defines itself."""
    for name, method in list(vars(cloud).items()):
        if name in _NO_CALLS or name.startswith("_") or not inspect.isfunction(method):
            continue
        if name in vars(contract) and method is not vars(contract)[name]:
            setattr(cloud, name, _passed_through(method))


def _passed_through(method: Callable[..., Any]) -> Callable[..., Any]:
    """A driver's method, wrapped with what is the same for all drivers: the size check, the request's id and token."""
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
        raise errors.CpiError(f"{name}: size must be a whole number of MiB and at least 1, got {size!r}")
