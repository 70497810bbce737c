"""Waiting for OpenStack: until a state is reached, not longer than state_timeout, and not at all once it cannot be reached."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from cpi.contract import errors
from cpi.kit.usual import Usual
from cpi.kit.waiting import Overdue, wait_until
from cpi_drivers.openstack.api.errors import Missing
from cpi_drivers.openstack.settings import OpenStackSettings

Document = Mapping[str, Any]

_FIRST_PAUSE_SECONDS: Final = 0.25  # before the second look; later ones come ever less often


class Pending(NamedTuple):
    """A thing that is not yet as it is waited for."""

    document: Document


class Waits:
    """The waits of one configuration."""

    def __init__(self, settings: OpenStackSettings) -> None:
        self._timeout = settings.state_timeout
        self._usual = Usual("openstack", settings.cache_folder)
        self._poll = settings.wait_resource_poll_interval

    def until(
        self, what: str, look: Callable[[], Document | Pending | None], *, first_pause: float = _FIRST_PAUSE_SECONDS
    ) -> Document:
        """The first document that look answers; look raises if it cannot come any more.

        Raises Overdue, which tells the state that was seen last.
        """
        seen: list[Document] = []

        def probe() -> Document | None:
            found = look()
            if isinstance(found, Pending):
                seen[:] = [found.document]
                return None
            return found

        try:
            return wait_until(
                probe,
                what,
                deadline_seconds=self._timeout,
                first_pause_seconds=min(first_pause, self._poll),
                longest_pause_seconds=self._poll,
                usual=self._usual,
            )
        except Overdue as error:
            last = f"; it is in state {_state(seen[0])}" if seen else ""
            raise Overdue(f"{error.message} (state_timeout){last}") from error

    def gone(self, what: str, look: Callable[[], Document], *, first_pause: float = _FIRST_PAUSE_SECONDS) -> None:
        """Until look raises Missing."""
        self.until(what, lambda: _missing(look), first_pause=first_pause)


def _missing(look: Callable[[], Document]) -> Document | Pending:
    try:
        return Pending(look())
    except Missing:
        return {"gone": True}


def failed(what: str, document: Document) -> errors.CloudError:
    """The error for a thing that ended in a state it cannot leave, with the cloud's own words if it has any."""
    return errors.CloudError(f"{what} is in state {_state(document)}")


def _state(document: Document) -> str:
    task, fault = document.get("OS-EXT-STS:task_state"), document.get("fault") or {}
    doing = f", task {task!r}" if task else ""
    said = f": {fault['message']}" if fault.get("message") else ""
    return f"{document.get('status')!r}{doing}{said}"
