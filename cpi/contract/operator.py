"""What a driver may offer to people beyond the CPI. Both are optional, and asked for with isinstance()."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from cpi.contract.ids import VmCid


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at, for `cpi doctor`."""

    subject: str
    verdict: Literal["good", "warning", "fault"]
    detail: str
    """What was seen and, unless good, what to do about it; never a secret."""


@runtime_checkable
class Examines(Protocol):
    """A cloud that can say what is wrong with itself."""

    def examine(self) -> Iterable[Finding]:
        """Look at credentials, reachability and permissions, as far as it can be done without making anything."""


@runtime_checkable
class ShowsAgentSettings(Protocol):
    """A cloud that can say what a VM's agent was given."""

    def agent_settings(self, vm_cid: VmCid) -> Mapping[str, Any]:
        """The settings document, secrets in it as they are: mask them before showing. Raises VMNotFound."""
