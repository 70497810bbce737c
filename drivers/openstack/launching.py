"""One attempt at a server: asked for, waited for, and removed if it does not become one."""

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from cpi.contract import errors
from cpi.kit.tagging import TOKEN
from cpi.kit.undo import Undo
from drivers.openstack import naming, server_groups
from drivers.openstack.client import Client
from drivers.openstack.errors import AnswerLost, Missing, Refused
from drivers.openstack.servers import TAGGED_AT_BIRTH, Servers
from drivers.openstack.settings import OpenStackSettings
from drivers.openstack.states import Document
from drivers.openstack.vm_wish import VmWish

_NOT_ACCEPTABLE: Final = 406
_NO_ZONE: Final = re.compile(r"availability zone", re.IGNORECASE)
_GROUP_FULL: Final = re.compile(r"servers in group|server_group_members", re.IGNORECASE)

_log = logging.getLogger(__name__)


class NoRoom(Exception):
    """There is no host for the server in this zone; nothing of it is left."""


class Launching:
    """Nova's POST /servers and what follows."""

    def __init__(self, client: Client, settings: OpenStackSettings, servers: Servers) -> None:
        self._client = client
        self._settings = settings
        self._servers = servers

    def launch(self, body: Mapping[str, Any], hints: Mapping[str, Any], wish: VmWish, undo: Undo) -> Document:
        """The server, active; undo removes it. Raises NoRoom; VMCreationFailed; Refused; AnswerLost."""
        attempt = Undo()
        with attempt:
            attempt.push(f"servers named {wish.name}", lambda: self._remove_named(wish.name))
            server = self._post(dict(body), hints, wish)
            attempt.push(f"server {server['id']}", lambda: self._remove(server["id"]))
            try:
                active = self._servers.active(server["id"], "create_vm")
            except errors.CloudError as error:
                attempt.roll_back()
                raise _why(error, clean=attempt.clean) from error
        undo.push(f"server {server['id']}", lambda: self._remove(server["id"]))
        return active

    def _post(self, body: dict[str, Any], hints: Mapping[str, Any], wish: VmWish) -> Document:
        if "group" in hints:
            body["metadata"] = {**body["metadata"], server_groups.METADATA_KEY: str(hints["group"])}
        request: dict[str, Any] = {"server": body, **({"OS-SCH-HNT:scheduler_hints": dict(hints)} if hints else {})}
        try:
            return self._tagged(request, wish)
        except AnswerLost:
            found = self._servers.named(wish.name)
            if not found:
                raise
            return found[0]
        except Refused as error:
            if hints.get("group") and _GROUP_FULL.search(error.said):
                _log.warning("the VM goes without anti-affinity: %s", error.said)
                return self._post(body, {key: value for key, value in hints.items() if key != "group"}, wish)
            if error.is_quota:
                raise errors.VMCreationFailed(f"the project's quota, not the cloud's capacity: {error.said}") from error
            if _NO_ZONE.search(error.said):
                raise NoRoom(error.said) from error
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
    """A server that did not become active: for want of room, or for another reason that a repeat may not meet again."""
    if clean and "No valid host" in error.message:
        return NoRoom(f"the cloud has no room: {error.message}")
    return errors.VMCreationFailed(error.message, ok_to_retry=clean)
