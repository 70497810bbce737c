"""Looking at disks: what Cinder says of one."""

from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import DiskCid
from cpi_drivers.openstack.api.client import Client, segment
from cpi_drivers.openstack.api.errors import Missing
from cpi_drivers.openstack.api.states import Document, Pending, Waits, failed

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
            raise errors.DiskNotFound(f"the disk {disk_cid} does not exist") from error

    def settled(self, disk_cid: DiskCid, what: str) -> Document:
        """The disk once nothing is being done to it. Raises DiskNotFound."""

        def look() -> Document | Pending:
            volume = self.existing(disk_cid)
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


def holders(volume: Document) -> dict[str, Any]:
    """The devices by which VMs have the disk, by the VMs' CIDs."""
    return {attachment["server_id"]: attachment.get("device") for attachment in volume.get("attachments", ())}


def refuse_attached(volume: Document, wish: str) -> None:
    """Raises CloudError, naming the VM, if the disk is attached."""
    if holders(volume):
        raise errors.CloudError(
            f"the disk {volume['id']} is attached to the VM {', '.join(holders(volume))}: detach it to {wish}"
        )
    if volume["status"] != AVAILABLE:
        raise failed(f"the disk {volume['id']} can not {wish}: it", volume)
