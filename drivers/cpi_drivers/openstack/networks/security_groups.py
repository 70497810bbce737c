"""Security groups by name or id."""

import re
from collections.abc import Iterable, Mapping

from cpi.contract import errors
from cpi_drivers.openstack.api.client import Client

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class SecurityGroups:
    """The project's, asked for once a Cloud at most."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def ids(self, wished: Iterable[str]) -> dict[str, str]:
        """The id of each. Raises CloudError naming all that do not exist."""
        names = set(wished)
        if all(_UUID.fullmatch(name) for name in names):
            return {name: name for name in names}
        own = self._client.project_id
        known = self._known({"project_id": own}) if own else {}
        if not known or names - set(known):  # others' are used where they are shared: an administrator sees all that there are
            known = {**self._known({}), **known}
        missing = sorted(names - set(known))
        if missing:
            there = ", ".join(sorted({name for name, ids in known.items() if ids != [name]}))
            raise errors.CloudError(f"there is no security group {', '.join(missing)}; known: {there}")
        several = sorted(name for name in names if len(known[name]) > 1)
        if several:
            raise errors.CloudError(f"several security groups are called {', '.join(several)}: give their ids")
        return {name: known[name][0] for name in names}

    def _known(self, query: Mapping[str, str]) -> dict[str, list[str]]:
        known: dict[str, list[str]] = {}
        wanted = {"fields": ["id", "name"], **query}
        for group in self._client.pages("network", "/security-groups", "security_groups", wanted):
            known.setdefault(group["name"], []).append(group["id"])
            known[group["id"]] = [group["id"]]
        return known
