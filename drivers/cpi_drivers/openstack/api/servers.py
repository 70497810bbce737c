"""Looking at VMs: what Nova says of one."""

from collections.abc import Callable
from typing import Final

from cpi.contract.ids import VmCid
from cpi.kit import failures
from cpi.kit.tagging import TOKEN
from cpi_drivers.openstack import naming
from cpi_drivers.openstack.api.client import Client, segment
from cpi_drivers.openstack.api.errors import Missing, Refused
from cpi_drivers.openstack.api.states import Document, Pending, Waits, failed

TAGGED_AT_BIRTH: Final = "2.52"
_TAGS_FOUND: Final = "2.26"
DETAILED: Final = "2.47"  # the flavour's disks, and which volumes go with the server
_NOT_ACCEPTABLE: Final = 406
_RECLAIMED_LATER: Final = "SOFT_DELETED"
_FIRST_PAUSE_SECONDS: Final = 1.0  # no server is made in less, and Nova asks Neutron twice for each look at one
_GOING: Final = frozenset({"DELETED", _RECLAIMED_LATER})


class Servers:
    """VMs as Nova shows them."""

    def __init__(self, client: Client, waits: Waits) -> None:
        self._client = client
        self._waits = waits

    def look(self, vm_cid: str, *, detailed: bool = False) -> Document:
        """Raises Missing for what is gone or going."""
        asked = f"/servers/{segment(vm_cid)}"
        server: Document = self._client.get("compute", asked, microversion=DETAILED if detailed else None)["server"]
        if is_going(server):
            raise Missing(f"GET compute{asked}", 404, "is being deleted")
        return server

    def existing(self, vm_cid: VmCid, *, detailed: bool = False) -> Document:
        """Raises VMNotFound."""
        try:
            return self.look(vm_cid, detailed=detailed)
        except Missing as error:
            raise failures.no_such_vm(vm_cid) from error

    def active(self, vm_cid: str, what: str) -> Document:
        """The server once it is ACTIVE. Raises CloudError, quoting Nova's fault, as soon as it cannot become so."""
        return self.reached(vm_cid, what, lambda server: server["status"] == "ACTIVE" and not server.get("OS-EXT-STS:task_state"))

    def reached(self, vm_cid: str, what: str, done: Callable[[Document], bool]) -> Document:
        """The server once done is true of it."""

        def look() -> Document | Pending:
            server = self.look(vm_cid)
            if server["status"] in {"ERROR", "KILLED", "FAILED", "UNKNOWN"}:
                raise failed(f"{what}: VM {vm_cid}", server)
            return server if done(server) else Pending(server)

        return self._waits.until(f"{what}: VM {vm_cid}", look, first_pause=_FIRST_PAUSE_SECONDS)

    def gone(self, vm_cid: str) -> None:
        """Wait until Nova has forgotten it: one that is DELETED still holds its room on the host for a moment."""

        def look() -> Document:
            server: Document = self._client.get("compute", f"/servers/{segment(vm_cid)}")["server"]
            if server["status"] == _RECLAIMED_LATER:
                raise Missing("GET compute/servers", 404, server["status"])
            if server["status"] == "ERROR" and server.get("OS-EXT-STS:task_state") is None:
                raise failed(f"delete_vm: VM {vm_cid}", server)
            return server

        self._waits.gone(f"delete_vm: VM {vm_cid} is still there", look, first_pause=_FIRST_PAUSE_SECONDS)

    def named(self, name: str) -> list[Document]:
        """The servers of that very name."""
        found = self._client.pages("compute", "/servers/detail", "servers", {"name": f"^{name}$"})
        return [server for server in found if server["name"] == name and not is_going(server)]

    def with_token(self, token: str) -> list[Document]:
        """The servers made with a token: by their tag, or by their metadata where Nova is too old for tags."""
        try:
            query = {"tags": naming.server_tag(token)}
            found = list(self._client.pages("compute", "/servers/detail", "servers", query, microversion=_TAGS_FOUND))
        except Refused as error:
            if error.status != _NOT_ACCEPTABLE:
                raise
            found = list(self._client.pages("compute", "/servers/detail", "servers"))
        return [
            server for server in found if server["metadata"].get(TOKEN) == token[: naming.METADATA.value] and not is_going(server)
        ]


def is_gone(server: Document) -> bool:
    """Whether it runs no more, and will not again."""
    return server["status"] in _GOING


def is_going(server: Document) -> bool:
    """Whether it is gone or on its way."""
    return server["status"] in _GOING or server.get("OS-EXT-STS:task_state") == "deleting"
