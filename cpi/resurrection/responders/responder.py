"""What a responder is. Another one is a class like this under the entry point group `cpi.responders`."""

from collections.abc import Mapping
from typing import Any, Protocol, Self

from cpi.resurrection.alert import Alert


class Responder(Protocol):
    """Tells somebody of alerts. One thread calls it, one alert after the other."""

    @classmethod
    def made(cls, settings: Mapping[str, Any], where: str) -> Self:
        """From what the instances file says, its secrets in it. Raises CpiError naming every fault; opens nothing yet."""

    def respond(self, alert: Alert) -> None:
        """Tell it. Raises CloudError if that failed and may be tried again, CpiError if that would not help."""

    def close(self) -> None:
        """Let go of connections."""
