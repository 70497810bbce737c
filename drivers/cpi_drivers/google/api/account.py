"""What every part of the driver works with: the API, the settings, who calls, and how patient to be."""

import dataclasses
import logging
import os
from collections.abc import Callable
from typing import Any, Final, TypeVar

from cpi.contract.model import CloudConfig
from cpi.kit.usual import Usual
from cpi.kit.waiting import wait_until
from cpi_drivers.google.api import errors
from cpi_drivers.google.api.client import Client
from cpi_drivers.google.settings import GoogleSettings

_log = logging.getLogger(__name__)

T = TypeVar("T")
Item = dict[str, Any]

_USUAL: Final = Usual("google")
_MEANWHILE: Final = (errors.Stale, errors.NotReady)


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds."""

    vm_running: float = 900
    disk_ready: float = 600
    in_use: float = 300
    stemcell: float = 3600
    snapshot: float = 6 * 3600
    attempts: int = 300
    """How often what somebody else changes at the same time is looked at and changed again: for some five minutes."""


@dataclasses.dataclass(frozen=True)
class Account:
    """One project, for one caller."""

    client: Client
    settings: GoogleSettings
    config: CloudConfig
    patience: Patience = Patience()
    unlabelled: set[str] = dataclasses.field(default_factory=set, compare=False)
    """Kinds of things that the role was found not to allow to be labelled."""

    @property
    def project(self) -> str:
        """The project's id."""
        return self.settings.project

    @property
    def waits_for_deletion(self) -> bool:
        """As with the official CPI, a variable of the environment can turn it off."""
        return not os.environ.get("CPI_ASYNC_DELETE")

    def wait(self, probe: Callable[[], T | None], what: str, deadline_seconds: float) -> T:
        """The first answer of probe. Raises CloudError when the deadline has passed."""
        return wait_until(probe, what, deadline_seconds=deadline_seconds, first_pause_seconds=0.1, usual=_USUAL)

    def anew(self, change: Callable[[], T]) -> T:
        """The answer of change, which looks before it changes, and does so again if somebody else was faster or is at it."""
        try:
            return change()
        except _MEANWHILE as first:
            from cpi.kit.retrying import repeated  # imported late: most changes succeed at once

            _log.info("again: %s", first.message)
            return repeated(change, on=_MEANWHILE, attempts=self.patience.attempts, longest_pause_seconds=2.0)

    def do(self, method: str, body: Item | None = None, **parameters: Any) -> Item:
        """The client's, begun again as long as an earlier operation on the same thing, of whomever, keeps it from beginning."""
        return self.anew(lambda: self.client.do(method, body, **parameters))
