"""Waiting for OpenStack: until a state is reached, not longer than state_timeout, and not at all once it can not be reached."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from cpi.contract import errors
from cpi.kit.waiting import wait_until
from drivers.openstack.errors import Missing
from drivers.openstack.settings import OpenStackSettings

Document = Mapping[str, Any]

_FIRST_PAUSE_SECONDS: Final = 0.25


class Waits:
    """The waits of one configuration."""

    def __init__(self, settings: OpenStackSettings) -> None:
        self._timeout = settings.state_timeout
        self._poll = settings.wait_resource_poll_interval

    def until(self, what: str, look: Callable[[], Document | None]) -> Document:
        """The first answer of look that is not None; look raises if it can not come any more."""
        return wait_until(
            look,
            what,
            deadline_seconds=self._timeout,
            first_pause_seconds=min(_FIRST_PAUSE_SECONDS, self._poll),
            longest_pause_seconds=self._poll,
        )

    def gone(self, what: str, look: Callable[[], Document]) -> None:
        """Until look raises Missing."""
        self.until(what, lambda: _missing(look))


def _missing(look: Callable[[], Document]) -> Document | None:
    try:
        look()
    except Missing:
        return {"gone": True}
    return None


def failed(what: str, document: Document) -> errors.CloudError:
    """The error for a thing that ended in a state it can not leave, with the cloud's own words if it has any."""
    fault = document.get("fault") or {}
    said = f": {fault['message']}" if fault.get("message") else ""
    return errors.CloudError(f"{what} is in state {document.get('status')!r}{said}")
