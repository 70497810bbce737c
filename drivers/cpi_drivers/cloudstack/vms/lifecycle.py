"""VMs that exist: found, restarted, described, deleted."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.contract.model import Metadata
from cpi_drivers.cloudstack import tags
from cpi_drivers.cloudstack.api.client import Client, Document
from cpi_drivers.cloudstack.api.errors import Missing, Refused
from cpi_drivers.cloudstack.api.inventory import Inventory
from cpi_drivers.cloudstack.disks.attachments import own_disks
from cpi_drivers.cloudstack.settings import CloudStackSettings
from cpi_drivers.cloudstack.vms import agent_settings
from cpi_drivers.cloudstack.vms.affinity import AffinityGroups
from cpi_drivers.cloudstack.vms.balancing import Balancing

_ON_EXPUNGING: Final = (
    "; these keys may not expunge VMs: set allow.user.expunge.recover.vm in CloudStack, or expunge_vm: false, with which the "
    "VM's address is taken until CloudStack expunges the VM (expunge.delay)"
)

_log = logging.getLogger(__name__)


class Vms:
    """With what belongs to them alone."""

    def __init__(
        self, client: Client, settings: CloudStackSettings, inventory: Inventory, balancing: Balancing, groups: AffinityGroups
    ) -> None:
        self._client = client
        self._settings = settings
        self._inventory = inventory
        self._balancing = balancing
        self._groups = groups

    def has(self, vm_cid: VmCid) -> bool:
        """False for what is gone or going."""
        return self._inventory.vm_unless_gone(vm_cid) is not None

    def delete(self, vm_cid: str) -> None:
        """All of it is gone when this returns; its persistent disks are free."""
        vm = self._inventory.vm_unless_gone(vm_cid)
        if vm is None:
            return
        self._balancing.leave(vm)
        if not self._settings.expunges:
            self._balancing.lead_nowhere(vm)
        disks = self._inventory.data_disks(vm)
        own = own_disks(vm, disks)
        persistent_disks = [disk for disk in disks if disk["id"] not in own]
        if persistent_disks:
            self._stop(vm)  # a guest that still uses a disk would not let go of it
        for disk in persistent_disks:
            self._detach(vm, disk)
        self._destroy(vm, own)
        self._remove(own)
        self._groups.leave(vm)

    def reboot(self, vm_cid: VmCid) -> None:
        """It runs when this returns; one that is off is started."""
        vm = self._inventory.existing_vm(vm_cid)
        what = f"reboot_vm: VM {vm_cid}"
        if vm["state"] == "Stopped":
            self.start(vm, what, "reboot_vm")
        else:
            self._client.run("rebootVirtualMachine", what, "reboot_vm", idempotent=True, id=vm["id"])

    def start(self, vm: Document, what: str, timeout: str) -> None:
        """It runs when this returns; what is refused because an attempt without an answer has done it is done."""
        try:
            self._client.run("startVirtualMachine", what, timeout, idempotent=True, id=vm["id"])
        except Refused:
            if self._after_starting(vm, what, timeout) != "Running":
                raise

    def _after_starting(self, vm: Document, what: str, timeout: str) -> str:
        """The state that an attempt still under way leads to."""

        def look() -> Document | None:
            now = self._inventory.vm(str(vm["id"])) or {"state": "gone"}
            return now if now["state"] != "Starting" else None

        return str(self._client.until(f"{what} does not start", timeout, look)["state"])

    def set_metadata(self, vm_cid: VmCid, metadata: Metadata) -> None:
        """Added to what is there."""
        tags.add(self._client, "UserVm", self._inventory.existing_vm(vm_cid), metadata)

    def agent_settings(self, vm_cid: VmCid) -> Mapping[str, Any]:
        """What it was given as user data."""
        vm = self._inventory.existing_vm(vm_cid)
        answer = self._client.call("getVirtualMachineUserData", virtualmachineid=vm["id"])
        return agent_settings.decoded(str(answer["virtualmachineuserdata"].get("userdata", "")))

    def _stop(self, vm: Document) -> None:
        if vm["state"] == "Running":
            what = f"delete_vm: VM {vm['name']} does not stop"
            self._client.run("stopVirtualMachine", what, "stop_vm", idempotent=True, id=vm["id"], forced=True)

    def _detach(self, vm: Document, disk: Document) -> None:
        what = f"delete_vm: disk {disk['name']} at VM {vm['name']}"
        try:
            self._client.run("detachVolume", what, "detach_volume", idempotent=True, id=disk["id"])
        except Refused:
            now = self._inventory.disk(str(disk["id"]))
            if now is not None and now.get("virtualmachineid") == vm["id"]:
                raise

    def _destroy(self, vm: Document, own: Sequence[str]) -> None:
        what, wanted = f"delete_vm: VM {vm['name']}", {"id": vm["id"], "expunge": self._settings.expunges, "volumeids": own}
        try:
            self._client.run("destroyVirtualMachine", what, "delete_vm", idempotent=True, **wanted)
        except Refused as error:
            if self._inventory.vm(str(vm["id"])) is not None:
                advice = _ON_EXPUNGING if self._settings.expunges and "expunge" in error.said.lower() else ""
                raise errors.CloudError(f"the VM {vm['name']} cannot be deleted: {error.said}{advice}") from error

    def _remove(self, own: Sequence[str]) -> None:
        """A CloudStack before 4.12 passes over volumeids; and what the job of a VM cannot delete it leaves without a word."""
        for disk in self._inventory.disks_with_ids(list(own)) if own else ():
            _log.info("the ephemeral disk %s outlived its VM", disk["name"])
            try:
                self._client.call("deleteVolume", idempotent=True, id=disk["id"])
            except Missing:
                continue
