"""What every part of the driver works with: the API, the settings, who calls, and how patient to be."""

import dataclasses
import os
from collections.abc import Callable
from typing import TypeVar

from cpi.contract.model import CloudConfig
from cpi.kit.waiting import wait_until
from drivers.google import errors
from drivers.google.client import Client
from drivers.google.settings import GoogleSettings

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds."""

    vm_running: float = 900
    disk_ready: float = 600
    in_use: float = 300
    stemcell: float = 3600
    snapshot: float = 6 * 3600
    stale_attempts: int = 20
    """How often what somebody else changed meanwhile is read and changed again."""


@dataclasses.dataclass(frozen=True)
class Account:
    """One project, for one caller."""

    client: Client
    settings: GoogleSettings
    config: CloudConfig
    patience: Patience = Patience()

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
        return wait_until(probe, what, deadline_seconds=deadline_seconds, first_pause_seconds=0.1)

    def anew(self, change: Callable[[], T]) -> T:
        """The answer of change, which reads what it changes, and does so again if somebody else was faster."""
        try:
            return change()
        except errors.Stale:
            from cpi.kit.retrying import repeated  # imported late: most changes succeed at once

            return repeated(change, on=errors.Stale, attempts=self.patience.stale_attempts, longest_pause_seconds=2.0)
