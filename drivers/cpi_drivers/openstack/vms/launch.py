"""One attempt at a server: asked for, waited for, and removed if it does not become one."""

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from cpi.contract import errors
from cpi.kit.failures import AnswerLost
from cpi.kit.tagging import TOKEN
from cpi.kit.undo import Undo
from cpi_drivers.openstack import naming
from cpi_drivers.openstack.api.client import Client
from cpi_drivers.openstack.api.errors import Missing, Refused, fault_tells_of_quota
from cpi_drivers.openstack.api.servers import TAGGED_AT_BIRTH, Servers
from cpi_drivers.openstack.api.states import Document
from cpi_drivers.openstack.settings import OpenStackSettings
from cpi_drivers.openstack.vms import server_groups
from cpi_drivers.openstack.vms.request import VmWish

_NOT_ACCEPTABLE: Final = 406
_NO_ZONE: Final = re.compile(r"availability zone", re.IGNORECASE)
_GROUP_FULL: Final = re.compile(r"servers in group|server_group_members", re.IGNORECASE)
_HINTS: Final = "OS-SCH-HNT:scheduler_hints"

_log = logging.getLogger(__name__)


class NoRoom(Exception):
    """The server did not come up in this place, for want of room mostly; nothing of it is left."""

    def __init__(self, told: str, *, may_pass: bool = True) -> None:
        super().__init__(told)
        self.may_pass = may_pass
        """Whether a repeat could end otherwise."""


class Launching:
    """Nova's POST /servers and what follows."""

    def __init__(self, client: Client, settings: OpenStackSettings, servers: Servers) -> None:
        self._client = client
        self._settings = settings
        self._servers = servers

    def launch(self, body: Mapping[str, Any], group: str | None, wish: VmWish, undo: Undo) -> Document:
        """The server, active; undo removes it. group: the server group that we made for it.

        Raises NoRoom; VMCreationFailed; Refused; AnswerLost.
        """
        attempt = Undo()
        with attempt:
            attempt.push(f"servers named {wish.name}", lambda: self._remove_named(wish.name))
            server = self._post(body, group, wish)
            attempt.push(f"server {server['id']}", lambda: self._remove(server["id"]))
            try:
                active = self._servers.active(server["id"], "create_vm")
            except errors.CloudError as error:
                attempt.roll_back()
                raise _why(error, clean=attempt.clean) from error
        undo.push(f"server {server['id']}", lambda: self._remove(server["id"]))
        return active

    def _post(self, body: Mapping[str, Any], group: str | None, wish: VmWish) -> Document:
        hints, server = dict(wish.properties.scheduler_hints), dict(body)
        if group:
            hints["group"] = group
            server["metadata"] = {**body["metadata"], server_groups.METADATA_KEY: group}
        try:
            return self._tagged({"server": server, **({_HINTS: hints} if hints else {})}, wish)
        except AnswerLost:
            found = self._servers.named(wish.name)
            if not found:
                raise
            return found[0]
        except Refused as error:
            if group and _GROUP_FULL.search(error.said):
                _log.warning("the VM goes without anti-affinity: %s", error.said)
                return self._post(body, None, wish)
            if error.is_quota:
                raise errors.VMCreationFailed(f"the project's quota, not the cloud's capacity: {error.said}") from error
            if _NO_ZONE.search(error.said):
                raise NoRoom(error.said, may_pass=False) from error  # there is no such zone
            if "key_name" in error.said:
                key = body.get("key_name")
                raise errors.CloudError(f"there is no key pair {key} for this user, whose own they are: {error.said}") from error
            raise

    def _tagged(self, request: dict[str, Any], wish: VmWish) -> Document:
        token = wish.metadata.get(TOKEN)
        if token:
            tagged = {**request, "server": {**request["server"], "tags": [naming.server_tag(token)]}}
            try:
                made: Document = self._client.post("compute", "/servers", tagged, microversion=TAGGED_AT_BIRTH)["server"]
            except Refused as error:
                if error.status != _NOT_ACCEPTABLE:  # a Nova that is too old for tags: the metadata tell the token too
                    raise
            else:
                return made
        plain: Document = self._client.post("compute", "/servers", request)["server"]
        return plain

    def _remove_named(self, name: str) -> None:
        for server in self._servers.named(name):
            self._remove(server["id"])

    def _remove(self, server_id: str) -> None:
        try:
            self._client.delete("compute", f"/servers/{server_id}")
        except Missing:
            return
        self._servers.gone(server_id)


def _why(error: errors.CloudError, *, clean: bool) -> Exception:
    """A server that did not become active: for want of room, or for another reason that another place may not have."""
    if not clean:
        return errors.VMCreationFailed(f"{error.message}; and it could not be removed")
    if fault_tells_of_quota(error.message):
        return errors.VMCreationFailed(f"the project's quota, not the cloud's capacity: {error.message}")
    return NoRoom(f"the cloud has no room: {error.message}" if "No valid host" in error.message else error.message)
