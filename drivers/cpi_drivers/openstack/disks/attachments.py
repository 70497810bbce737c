"""Disks in VMs: attached, detached, and by which name the guest finds them."""

from typing import Any

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import DiskHint
from cpi_drivers.openstack.api.client import Client, segment
from cpi_drivers.openstack.api.errors import AnswerLost, Conflicting, Missing, Refused
from cpi_drivers.openstack.api.servers import Servers
from cpi_drivers.openstack.api.states import Document, Pending, Waits, failed
from cpi_drivers.openstack.api.volumes import IN_USE, Volumes, holders
from cpi_drivers.openstack.disks.hints import first_free_letter, hint
from cpi_drivers.openstack.settings import OpenStackSettings


class Attachments:
    """What Nova holds together."""

    def __init__(self, client: Client, settings: OpenStackSettings, waits: Waits, volumes: Volumes, servers: Servers) -> None:
        self._client = client
        self._settings = settings
        self._waits = waits
        self._volumes = volumes
        self._servers = servers

    def attach(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        """Attached when this returns; a disk that is attached there already stays as it is."""
        present = self._of(vm_cid)
        found = next((each for each in present if each["volumeId"] == disk_cid), None) or self._make(vm_cid, disk_cid)
        self._waits.until(f"attach_disk: disk {disk_cid} at VM {vm_cid}", lambda: self._attached(vm_cid, disk_cid))
        device = found.get("device")
        if not device:
            device = first_free_letter(self._servers.existing(vm_cid, detailed=True), present, self._settings.config_drive)
        return hint(disk_cid, device)

    def detach(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        """Free when this returns; a disk that is attached nowhere stays as it is."""
        try:
            self._client.delete("compute", f"/servers/{segment(vm_cid)}/os-volume_attachments/{segment(disk_cid)}")
        except Missing:
            self._explain_not_attached(vm_cid, disk_cid)
        except Refused as error:
            # The call before this one, killed or unanswered, may have begun or done it: then there is nothing left but to wait.
            volume = self._volumes.existing(disk_cid)
            if vm_cid in holders(volume) and volume["status"] != "detaching":
                raise errors.CloudError(f"the disk {disk_cid} can not be detached from the VM {vm_cid}: {error.said}") from error
        self._waits.until(f"detach_disk: disk {disk_cid} at VM {vm_cid}", lambda: self._detached(vm_cid, disk_cid))

    def disks_of(self, vm_cid: VmCid) -> list[DiskCid]:
        """The disks that outlive the VM: its root disk, where that is a volume, does not."""
        attached = self._servers.existing(vm_cid, detailed=True).get("os-extended-volumes:volumes_attached", [])
        return [DiskCid(volume["id"]) for volume in attached if not volume.get("delete_on_termination")]

    def _of(self, vm_cid: VmCid) -> list[Document]:
        try:
            answer = self._client.get("compute", f"/servers/{segment(vm_cid)}/os-volume_attachments")
        except Missing as error:
            raise errors.VMNotFound(f"the VM {vm_cid} does not exist") from error
        found: list[Document] = answer["volumeAttachments"]
        return found

    def _make(self, vm_cid: VmCid, disk_cid: DiskCid) -> Document:
        try:
            return self._post(vm_cid, disk_cid)
        except Missing as error:
            raise errors.DiskNotFound(f"the disk {disk_cid} does not exist") from error
        except AnswerLost:
            found = [each for each in self._of(vm_cid) if each["volumeId"] == disk_cid]
            if not found:
                raise
            return found[0]
        except Refused as error:
            # A disk that is just being detached, or was a moment ago, will be free.
            volume = self._volumes.settled(disk_cid, "attach_disk")
            if vm_cid in holders(volume):  # by a call before this one, whose answer was lost
                return {"device": holders(volume)[vm_cid]}
            if holders(volume):
                raise errors.CloudError(f"the disk {disk_cid} is attached to the VM {', '.join(holders(volume))}") from error
            if volume["status"] == "available" and (isinstance(error, Conflicting) or "status must be" in error.said):
                return self._post(vm_cid, disk_cid)
            raise errors.CloudError(f"the disk {disk_cid} can not be attached to the VM {vm_cid}: {error.said}") from error

    def _post(self, vm_cid: VmCid, disk_cid: DiskCid) -> Document:
        segment(disk_cid)
        wish = {"volumeAttachment": {"volumeId": disk_cid}}
        made: Any = self._client.post("compute", f"/servers/{segment(vm_cid)}/os-volume_attachments", wish)
        return dict(made["volumeAttachment"])

    def _attached(self, vm_cid: VmCid, disk_cid: DiskCid) -> Document | Pending:
        volume = self._volumes.existing(disk_cid)
        if volume["status"] == IN_USE and vm_cid in holders(volume):
            return volume
        if volume["status"] in {"attaching", "reserved", "detaching"}:
            return Pending(volume)
        raise failed(f"attach_disk: the disk {disk_cid} was not taken by the VM {vm_cid}; it", volume)

    def _detached(self, vm_cid: VmCid, disk_cid: DiskCid) -> Document | Pending:
        volume = self._volumes.existing(disk_cid)
        if vm_cid not in holders(volume) and volume["status"] in {"available", IN_USE}:
            return volume
        if str(volume["status"]).startswith("error"):
            raise failed(f"detach_disk: disk {disk_cid}", volume)
        return Pending(volume)

    def _explain_not_attached(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        volume = self._volumes.existing(disk_cid)
        self._servers.existing(vm_cid)
        others = [holder for holder in holders(volume) if holder != vm_cid]
        if others:
            raise errors.DiskNotAttached(
                f"the disk {disk_cid} is not attached to the VM {vm_cid} but to {', '.join(others)}", ok_to_retry=False
            )
