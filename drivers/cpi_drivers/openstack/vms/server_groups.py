"""Anti-affinity for each instance group, if the operator asked for it: one soft server group of Nova for each."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cpi.kit.failures import AnswerLost
from cpi_drivers.openstack.api.client import Client, segment
from cpi_drivers.openstack.api.errors import Missing, Refused

_SOFT: Final = "2.15"
_PAGE: Final = 1000
_PREFIX: Final = "multicpi-"
METADATA_KEY: Final = "multicpi-server-group"

_log = logging.getLogger(__name__)


class ServerGroups:
    """Nova's. A quota that is used up costs the anti-affinity, never the VM."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def for_instance_group(self, env: Mapping[str, Any] | None) -> str | None:
        """The id of the group for a VM's instance group; made if it is missing. None where there can be none."""
        group = ((env or {}).get("bosh") or {}).get("group")
        if not isinstance(group, str) or not group:
            return None
        name = (_PREFIX + group)[:255]
        found = self._named(name)
        if found is not None:
            return found
        try:
            body = {"server_group": {"name": name, "policies": ["soft-anti-affinity"]}}
            return str(self._client.post("compute", "/os-server-groups", body, microversion=_SOFT)["server_group"]["id"])
        except AnswerLost:
            return self._named(name)
        except Refused as error:
            _log.warning("%s goes without anti-affinity: %s", group, error)
            return None

    def remove_if_empty(self, group_id: str) -> None:
        """The last VM takes its group along: empty groups use up the quota."""
        path = f"/os-server-groups/{segment(group_id)}"
        try:
            if not self._client.get("compute", path, microversion=_SOFT)["server_group"]["members"]:
                self._client.delete("compute", path)
        except Missing:
            return

    def _named(self, name: str) -> str | None:
        return next((str(group["id"]) for group in self._all() if group["name"] == name), None)

    def _all(self) -> Iterator[Mapping[str, Any]]:
        """Page by page: Nova shows no more than it is configured to, and links to none."""
        seen = 0
        while True:
            page = self._client.get("compute", "/os-server-groups", {"offset": seen, "limit": _PAGE}, microversion=_SOFT)
            groups = page["server_groups"]
            yield from groups
            if not groups:
                return
            seen += len(groups)
