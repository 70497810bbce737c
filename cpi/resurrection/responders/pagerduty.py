"""Alerts as events of PagerDuty (Events API v2): what is down triggers an incident, what is over resolves it."""

from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec

from cpi.contract.encoding import to_plain
from cpi.kit.settings import Secret, read_settings
from cpi.resurrection.alert import Alert
from cpi.resurrection.responders.posting import check_url, post

_URL: Final = "https://events.pagerduty.com/v2/enqueue"
_LONGEST_SUMMARY: Final = 1024


class PagerDuty(msgspec.Struct, frozen=True):
    """One service's integration."""

    routing_key: Secret
    source: str = "multicpi"
    """What the incident is said to be about; it is part of what tells incidents apart, so one for each instances file."""

    url: str = _URL
    ca: str | None = None
    plain: bool = False
    """Whether http:// will do, for another url."""

    def __post_init__(self) -> None:
        check_url(self.url, plain=self.plain)

    @classmethod
    def made(cls, settings: Mapping[str, Any], where: str) -> Self:
        """As in Responder."""
        return read_settings(cls, settings, where)

    def respond(self, alert: Alert) -> None:
        """As in Responder."""
        post(self.url, msgspec.json.encode(self._event(alert)), {}, self.ca)

    def _event(self, alert: Alert) -> dict[str, Any]:
        event = {
            "routing_key": self.routing_key.reveal(),
            "event_action": "resolve" if alert.kind.ends else "trigger",
            "dedup_key": f"{self.source} {alert.subject}",
        }
        payload = {
            "summary": alert.message[:_LONGEST_SUMMARY],
            "severity": alert.kind.severity,
            "source": self.source,
            "timestamp": alert.at,
            "component": alert.instance,
            "group": alert.group,
            "class": alert.kind.value,
            "custom_details": to_plain(alert),
        }
        return {**event, "payload": payload}

    def close(self) -> None:
        """As in Responder."""
