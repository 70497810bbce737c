"""What every part of the driver works with: the API, the settings, who calls, and how patient to be."""

import dataclasses
from collections.abc import Callable
from typing import Final, TypeVar

from cpi.contract.model import CloudConfig
from cpi.kit.usual import Usual
from cpi.kit.waiting import wait_until
from cpi_drivers.aws.api.client import Client
from cpi_drivers.aws.api.facts import Facts
from cpi_drivers.aws.settings import AwsSettings

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds."""

    vm_running: float = 900
    vm_gone: float = 1500
    disk_ready: float = 600
    disk_attached: float = 600
    disk_detached: float = 600
    disk_changed: float = 1500
    snapshot: float = 6 * 3600
    stemcell: float = 3600
    address_busy: float = 600
    share: float = 0.2
    """A pause is this share of what was waited."""


_USUAL: Final = Usual("aws")


@dataclasses.dataclass(frozen=True)
class Account:
    """One AWS account in one region, for one caller."""

    client: Client
    settings: AwsSettings
    config: CloudConfig
    facts: Facts
    patience: Patience = Patience()

    def wait(self, probe: Callable[[], T | None], what: str, deadline_seconds: float) -> T:
        """The first answer of probe. Raises CloudError when the deadline has passed."""
        return wait_until(
            probe,
            what,
            deadline_seconds=deadline_seconds,
            first_pause_seconds=0.1,
            longest_pause_seconds=3.0,
            share=self.patience.share,
            usual=_USUAL,
        )
