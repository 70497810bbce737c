"""Looking at disks: what Cinder says of one."""

import logging
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import DiskCid
from cpi.kit import failures
from cpi_drivers.openstack.api.client import Client, segment
from cpi_drivers.openstack.api.errors import Missing, Refused
from cpi_drivers.openstack.api.states import Document, Pending, Waits, failed

_log = logging.getLogger(__name__)

_RESERVED: Final = "reserved"
_ATTACHMENTS: Final = "3.27"
AVAILABLE: Final = "available"
IN_USE: Final = "in-use"
_PASSING: Final = frozenset(
    {"creating", "attaching", "detaching", "downloading", "extending", "retyping", "reserved", "maintenance", "uploading"}
)


class Volumes:
    """Disks as Cinder shows them."""

    def __init__(self, client: Client, waits: Waits) -> None:
        self._client = client
        self._waits = waits

    def look(self, disk_cid: str) -> Document:
        """Raises Missing."""
        volume: Document = self._client.get("volume", f"/volumes/{segment(disk_cid)}")["volume"]
        return volume

    def existing(self, disk_cid: DiskCid) -> Document:
        """Raises DiskNotFound."""
        try:
            return self.look(disk_cid)
        except Missing as error:
            raise failures.no_such_disk(disk_cid) from error

    def settled(self, disk_cid: DiskCid, what: str) -> Document:
        """The disk once nothing is being done to it. Raises DiskNotFound."""

        def look() -> Document | Pending:
            volume = self.existing(disk_cid)
            if volume["status"] == _RESERVED:
                return self._reserved(volume)
            return Pending(volume) if volume["status"] in _PASSING else volume

        return self._waits.until(f"{what}: disk {disk_cid}", look)

    def reached(self, disk_cid: str, status: str, what: str) -> Document:
        """The disk once it has the status. Raises CloudError as soon as it has another one that does not pass."""

        def look() -> Document | Pending:
            volume = self.look(disk_cid)
            if volume["status"] == status:
                return volume
            if volume["status"] not in _PASSING:
                raise failed(f"{what}: disk {disk_cid}", volume)
            return Pending(volume)

        return self._waits.until(f"{what}: disk {disk_cid} is not {status}", look)

    def let_go(self, volume: Document, what: str) -> Document:
        """The disk without attachments to VMs that are gone: Nova may fail to take them away when it deletes a VM."""
        dead = [one for one in volume.get("attachments", ()) if one.get("server_id") and not self._is_there(one["server_id"])]
        for one in dead:
            _log.warning("the disk %s is attached to the VM %s, which is gone: it is freed", volume["id"], one["server_id"])
            try:
                self._remove_attachment(one.get("attachment_id") or one["id"])
            except Refused as error:
                told = f"the disk {volume['id']} is attached to the VM {one['server_id']}, which is gone, and cannot be freed"
                raise errors.CloudError(f"{told}: {error.said}") from error
        return self.settled(DiskCid(volume["id"]), what) if dead else volume

    def free(self, volume: Document, wish: str) -> Document:
        """Raises CloudError, naming the VM or the host, if the disk is attached."""
        if volume["status"] == IN_USE:
            volume = self.let_go(volume, f"to {wish}")
        if holder_words(volume):
            raise errors.CloudError(f"the disk {volume['id']} is attached to {holder_words(volume)}: detach it to {wish}")
        if volume["status"] != AVAILABLE:
            raise failed(f"to {wish}, the disk {volume['id']} must be available; it", volume)
        return volume

    def _reserved(self, volume: Document) -> Pending:
        """A disk that an attachment holds, which may have been left over: that of a VM that is gone is removed."""
        found = []
        try:
            query = {"volume_id": volume["id"]}
            found = list(self._client.pages("volume", "/attachments/detail", "attachments", query, microversion=_ATTACHMENTS))
        except Refused as error:
            _log.info("who reserves the disk %s cannot be asked: %s", volume["id"], error)
        told = []
        for attachment in found:
            server = attachment.get("instance")
            if server and attachment.get("attach_status", attachment.get("status")) == _RESERVED and not self._is_there(server):
                _log.warning("the disk %s was reserved for the VM %s, which is gone: it is freed", volume["id"], server)
                self._remove_attachment(attachment["id"])
            else:
                told.append(f"the attachment {attachment['id']} for the VM {server or '(none)'}")
        held = {"message": f"it is held by {', '.join(told)}"} if told else {}
        return Pending({**volume, "fault": held})

    def _is_there(self, server: str) -> bool:
        try:
            self._client.get("compute", f"/servers/{segment(server)}")
        except Missing:
            return False
        return True

    def _remove_attachment(self, attachment: str) -> None:
        try:
            path = f"/attachments/{segment(attachment)}"
            self._client.call("volume", "DELETE", path, microversion=_ATTACHMENTS)
        except Missing:
            return


def holders(volume: Document) -> dict[str, Any]:
    """The devices by which VMs have the disk, by the VMs' CIDs."""
    attachments = (one for one in volume.get("attachments", ()) if one.get("server_id"))
    return {attachment["server_id"]: attachment.get("device") for attachment in attachments}


def holder_words(volume: Document) -> str:
    """Who has the disk: VMs, and hosts, which Cinder's API and Glance attach it to; empty if nobody does."""
    hosts = [
        f"the host {one.get('host_name') or '(unknown)'}" for one in volume.get("attachments", ()) if not one.get("server_id")
    ]
    return ", ".join([*(f"the VM {vm}" for vm in holders(volume)), *hosts])
