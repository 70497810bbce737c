"""Disks in VMs: attached, detached, and by which name the guest finds them."""

from typing import Any

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import DiskHint
from cpi.kit import failures
from cpi.kit.failures import AnswerLost
from cpi_drivers.openstack.api.client import Client, segment
from cpi_drivers.openstack.api.errors import Conflicting, Missing, Refused
from cpi_drivers.openstack.api.servers import Servers
from cpi_drivers.openstack.api.states import Document, Pending, Waits, failed
from cpi_drivers.openstack.api.volumes import IN_USE, Volumes, holder_words, holders
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
        what = f"attach_disk: disk {disk_cid} at VM {vm_cid}"
        listed = next((each for each in present if each["volumeId"] == disk_cid), None)
        found = listed or self._make(vm_cid, disk_cid)
        try:
            self._waits.until(what, lambda: self._attached(vm_cid, disk_cid))
        except _NotTaken:
            if listed is None:
                raise
            self._waits.until(f"{what} is still listed by Nova", lambda: self._forgotten(vm_cid, disk_cid))
            found = self._make(vm_cid, disk_cid)
            self._waits.until(what, lambda: self._attached(vm_cid, disk_cid))
        device = found.get("device")
        if not device:
            device = first_free_letter(self._servers.existing(vm_cid, detailed=True), present, self._settings.config_drive)
        return hint(disk_cid, device)

    def detach(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        """Free when this returns; a disk that is attached nowhere stays as it is."""
        try:
            self._client.delete("compute", f"/servers/{segment(vm_cid)}/os-volume_attachments/{segment(disk_cid)}")
        except Missing:
            if not self._is_being_detached(vm_cid, disk_cid):
                return
        except Refused as error:
            # The call before this one, killed or unanswered, may have begun or done it: then there is nothing left but to wait.
            volume = self._volumes.existing(disk_cid)
            if vm_cid in holders(volume) and volume["status"] != "detaching":
                raise errors.CloudError(f"the disk {disk_cid} cannot be detached from the VM {vm_cid}: {error.said}") from error
        self._waits.until(f"detach_disk: disk {disk_cid} at VM {vm_cid}", lambda: self._detached(vm_cid, disk_cid))

    def disks_of(self, vm_cid: VmCid) -> list[DiskCid]:
        """The disks that outlive the VM: its root disk, where that is a volume, does not."""
        attached = self._servers.existing(vm_cid, detailed=True).get("os-extended-volumes:volumes_attached", [])
        return [DiskCid(volume["id"]) for volume in attached if not volume.get("delete_on_termination")]

    def _of(self, vm_cid: VmCid) -> list[Document]:
        try:
            answer = self._client.get("compute", f"/servers/{segment(vm_cid)}/os-volume_attachments")
        except Missing as error:
            raise failures.no_such_vm(vm_cid) from error
        found: list[Document] = answer["volumeAttachments"]
        return found

    def _make(self, vm_cid: VmCid, disk_cid: DiskCid) -> Document:
        try:
            return self._post(vm_cid, disk_cid)
        except Missing as error:
            raise failures.no_such_disk(disk_cid) from error
        except AnswerLost:
            found = [each for each in self._of(vm_cid) if each["volumeId"] == disk_cid]
            if not found:
                raise
            return found[0]
        except Refused as error:
            # A disk that is just being detached, or was a moment ago, will be free.
            volume = self._volumes.let_go(self._volumes.settled(disk_cid, "attach_disk"), "attach_disk")
            if vm_cid in holders(volume):  # by a call before this one, whose answer was lost
                return {"device": holders(volume)[vm_cid]}
            if holder_words(volume):
                raise errors.CloudError(f"the disk {disk_cid} is attached to {holder_words(volume)}") from error
            if volume["status"] == "available" and (isinstance(error, Conflicting) or "status must be" in error.said):
                return self._post(vm_cid, disk_cid)
            raise errors.CloudError(f"the disk {disk_cid} cannot be attached to the VM {vm_cid}: {error.said}") from error

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
        raise _NotTaken(failed(f"attach_disk: the disk {disk_cid} was not taken by the VM {vm_cid}; it", volume).message)

    def _forgotten(self, vm_cid: VmCid, disk_cid: DiskCid) -> Document | None:
        """Nova lists a disk for a moment after Cinder has let it go."""
        return None if any(each["volumeId"] == disk_cid for each in self._of(vm_cid)) else {"forgotten": True}

    def _detached(self, vm_cid: VmCid, disk_cid: DiskCid) -> Document | Pending:
        volume = self._volumes.existing(disk_cid)
        if vm_cid not in holders(volume) and volume["status"] in {"available", IN_USE}:
            return volume
        if str(volume["status"]).startswith("error"):
            raise failed(f"detach_disk: disk {disk_cid}", volume)
        return Pending(volume)

    def _is_being_detached(self, vm_cid: VmCid, disk_cid: DiskCid) -> bool:
        """By a call before this one; false for a disk that nothing has. Raises DiskNotAttached if something else has it."""
        volume = self._volumes.existing(disk_cid)
        self._servers.existing(vm_cid)
        if holder_words(volume) and vm_cid not in holders(volume):
            told = f"the disk {disk_cid} is not attached to the VM {vm_cid} but to {holder_words(volume)}"
            raise errors.DiskNotAttached(told, ok_to_retry=False)
        return vm_cid in holders(volume) or volume["status"] == "detaching"


class _NotTaken(errors.CloudError):
    """Cinder does not have the disk on the VM, and nothing is on the way."""
