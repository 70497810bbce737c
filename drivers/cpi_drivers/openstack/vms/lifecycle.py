"""VMs that exist: found, restarted, described, deleted."""

import logging
from collections.abc import Mapping
from typing import Final

from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.contract.model import Metadata
from cpi.kit import failures
from cpi.kit.failures import AnswerLost, Passing
from cpi.kit.waiting import Overdue
from cpi_drivers.openstack import naming
from cpi_drivers.openstack.api.client import Client, segment
from cpi_drivers.openstack.api.errors import Conflicting, Missing, Refused
from cpi_drivers.openstack.api.servers import Servers, is_going, is_gone
from cpi_drivers.openstack.api.states import Document, Waits
from cpi_drivers.openstack.networks.ports import Ports, is_foreign
from cpi_drivers.openstack.settings import OpenStackSettings
from cpi_drivers.openstack.vms.balancing import Balancing
from cpi_drivers.openstack.vms.server_groups import METADATA_KEY, ServerGroups

_OFF: Final = frozenset({"SHUTOFF", "STOPPED"})

_log = logging.getLogger(__name__)


class Vms:
    """Nova's servers, with the ports and memberships that are theirs alone."""

    def __init__(self, client: Client, settings: OpenStackSettings, waits: Waits) -> None:
        self._client = client
        self._settings = settings
        self._balancing = Balancing(client, waits)
        self.servers = Servers(client, waits)
        self.ports = Ports(client)

    def has(self, vm_cid: VmCid) -> bool:
        """False for what is gone. One that is being deleted is there yet: that may fail, and until then it has its address."""
        try:
            server: Document = self._client.get("compute", f"/servers/{segment(vm_cid)}")["server"]
        except Missing:
            return False
        return not is_gone(server)

    def delete(self, vm_cid: VmCid) -> None:
        """All of it is gone when this returns; its disks are free.

        It leaves its pools first, while its metadata tell which they are: if that takes too long it is not deleted, and a repeat
        goes on. A pool that refuses keeps no VM.
        """
        try:
            server: Document = self._client.get("compute", f"/servers/{segment(vm_cid)}")["server"]
        except Missing:
            for port in self._leftovers(vm_cid):
                self.ports.remove(port["id"])
            return
        faults = self._leave_pools(vm_cid, server)
        ports = self.ports.of(vm_cid)
        if is_going(server):  # by a call before this one, after which Nova may have let go of the ports
            ports += self._leftovers(vm_cid)
        self._delete_server(vm_cid)
        for port in ports:
            if is_foreign(port):
                _log.info("the port %s, called %r, is not the VM's own: it stays", port["id"], port.get("name"))
                continue
            try:
                self.ports.remove(port["id"])
            except errors.CloudError as error:
                faults.append(error.message)
        if server["metadata"].get(METADATA_KEY):
            self._remove_empty_group(server["metadata"][METADATA_KEY])
        if faults:
            raise errors.CloudError(f"the VM {vm_cid} is gone, but not all that was its own: " + "; ".join(faults))

    def _leave_pools(self, vm_cid: VmCid, server: Document) -> list[str]:
        """What no repeat would mend."""
        try:
            self._balancing.leave(server["metadata"])
        except (Overdue, Passing, AnswerLost) as error:
            raise errors.CloudError(f"the VM {vm_cid} is there yet; delete it again: {error.message}") from error
        except errors.CloudError as error:
            return [error.message]
        return []

    def reboot(self, vm_cid: VmCid) -> None:
        """Softly, else hard; started if it is off. It runs when this returns."""
        server = self.servers.existing(vm_cid)
        if server["status"] in _OFF:
            self._act(vm_cid, {"os-start": None})
        else:
            try:
                self._act(vm_cid, {"reboot": {"type": "SOFT"}})
            except Conflicting:
                self._act(vm_cid, {"reboot": {"type": "HARD"}})
        self.servers.active(vm_cid, "reboot_vm")

    def set_metadata(self, vm_cid: VmCid, metadata: Metadata) -> None:
        """Added to what is there; the name too, if names shall be for people."""
        self.add_metadata(vm_cid, naming.cut(metadata))
        name = _readable_name(metadata) if self._settings.human_readable_vm_names else None
        if name:
            self._client.put("compute", f"/servers/{segment(vm_cid)}", {"server": {"name": name[: naming.METADATA.value]}})

    def add_metadata(self, vm_cid: VmCid, metadata: Mapping[str, str]) -> None:
        """Raises VMNotFound."""
        path = f"/servers/{segment(vm_cid)}/metadata" if metadata else f"/servers/{segment(vm_cid)}"
        try:
            if not metadata:
                self.servers.look(vm_cid)
                return
            self._client.post("compute", path, {"metadata": dict(metadata)}, idempotent=True)
        except Missing as error:
            raise failures.no_such_vm(vm_cid) from error

    def _delete_server(self, vm_cid: VmCid) -> None:
        try:
            self._client.delete("compute", f"/servers/{segment(vm_cid)}")
        except Missing:
            return
        except Refused as error:
            raise errors.CloudError(f"the VM {vm_cid} cannot be deleted: {error.said}") from error
        self.servers.gone(vm_cid)

    def _leftovers(self, vm_cid: VmCid) -> list[Document]:
        return [port for port in self.ports.left_by(vm_cid) if port.get("device_id") in {None, "", vm_cid}]

    def _remove_empty_group(self, group_id: str) -> None:
        try:
            ServerGroups(self._client).remove_if_empty(group_id)
        except Refused as error:
            _log.warning("the empty server group %s stays: %s", group_id, error)

    def _act(self, vm_cid: VmCid, action: Mapping[str, object]) -> None:
        self._client.post("compute", f"/servers/{segment(vm_cid)}/action", action)


def _readable_name(metadata: Metadata) -> str | None:
    if metadata.get("name"):
        return str(metadata["name"])
    if metadata.get("compiling"):
        return f"compiling/{metadata['compiling']}"
    index = metadata.get("index", metadata.get("id"))
    return f"{metadata['job']}/{index}" if metadata.get("job") and index is not None else None
