"""VMs that exist: found, restarted, described, deleted."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.contract.model import Metadata
from cpi.kit import failures
from cpi_drivers.vcloud import naming, tags
from cpi_drivers.vcloud.api import documents, hardware
from cpi_drivers.vcloud.api.client import Client
from cpi_drivers.vcloud.api.documents import Element, make
from cpi_drivers.vcloud.api.errors import Missing, Refused
from cpi_drivers.vcloud.api.inventory import Inventory
from cpi_drivers.vcloud.vms import agent_settings
from cpi_drivers.vcloud.vms.agent_settings import Discs

_log = logging.getLogger(__name__)


class Vms:
    """Each in a vApp of its own, or in one that others share."""

    def __init__(self, client: Client, inventory: Inventory, discs: Discs) -> None:
        self._client = client
        self._inventory = inventory
        self._discs = discs

    def has(self, vm_cid: VmCid) -> bool:
        """False for what is gone."""
        return self._inventory.vm(vm_cid) is not None

    def delete(self, vm_cid: str) -> None:
        """All of it is gone when this returns; its persistent disks are free."""
        vm = self._inventory.vm(vm_cid)
        try:
            if vm is not None:
                self._remove(self._own_vapp(vm) or vm, [vm])
        except Missing:
            if self._inventory.vm(vm_cid) is not None:  # else an earlier call, that was killed or not answered, came to its end
                raise
        if naming.path_of(vm_cid, "vm") is not None:
            self._discs.remove(vm_cid)

    def delete_made(self, vapp_name: str, vm_name: str) -> None:
        """What create_vm has made under these names, however far it came."""
        vapp = self._inventory.vapp(vapp_name)
        vms = documents.every(vapp, "Children/Vm") if vapp is not None else []
        if vapp_name != vm_name:
            vms = [vm for vm in vms if vm.get("name") == vm_name]
        if vapp is not None and vapp_name == vm_name:
            self._remove(vapp, vms)
        for vm in vms:
            self.delete(str(vm.get("id")))

    def reboot(self, vm_cid: VmCid) -> None:
        """It runs when this returns; one that is off is started, one that is suspended forgets what it was doing."""
        vm = self._inventory.existing_vm(vm_cid)
        href, what = vm.get("href"), f"reboot_vm: VM {vm_cid}"
        if vm.get("status") == hardware.POWERED_ON:
            try:
                self._client.run(f"{href}/power/action/reboot", what, idempotent=True)
            except Refused as error:
                _log.info("%s is reset: its guest does not restart it: %s", what, error.said)
                self._client.run(f"{href}/power/action/reset", what, idempotent=True)
            return
        if vm.get("status") == hardware.SUSPENDED:
            self._client.run_unless(
                f"{href}/action/discardSuspendedState", what, lambda: self._is(vm_cid, lambda now: now != hardware.SUSPENDED)
            )
        self.switch_on(str(href), vm_cid, what)

    def switch_on(self, href: str, vm_cid: str, what: str) -> None:
        """It runs when this returns."""
        self._client.run_unless(
            f"{href}/power/action/powerOn", what, lambda: self._is(vm_cid, lambda now: now == hardware.POWERED_ON)
        )

    def set_metadata(self, vm_cid: VmCid, entries: Metadata) -> None:
        """Added to what is there."""
        path = naming.path_of(vm_cid, "vm")
        try:
            tags.add(self._client, path or self._existing_path(vm_cid), naming.cut(entries), f"set_vm_metadata: VM {vm_cid}")
        except Missing:
            self._inventory.existing_vm(vm_cid)
            raise

    def agent_settings(self, vm_cid: VmCid) -> Mapping[str, Any]:
        """What it was given among its guest properties."""
        return agent_settings.told(self._inventory.existing_vm(vm_cid))

    # ------------------------------------------------------------------

    def _own_vapp(self, vm: Element) -> Element | None:
        """The vApp that goes with its VM: made for it, and empty without it."""
        href = documents.link(vm, "up", "vApp+xml")
        if href is None:
            return None
        vapp = self._client.get(href)
        alone = len(documents.every(vapp, "Children/Vm")) == 1
        name = str(vapp.get("name"))
        return vapp if alone and (name == vm.get("name") or naming.is_uuid(name)) else None

    def _remove(self, target: Element, vms: Sequence[Element]) -> None:
        """VMs with their vApp, or one alone if others share that."""
        what = f"delete_vm: {target.get('name')}"
        self._undeploy(target, what)
        for vm in vms:
            for disk in hardware.independent_disks(vm):
                self._release(vm, disk, what)
        try:
            self._client.delete(str(target.get("href")), what)
        except Missing:
            return
        except Refused as error:
            raise errors.CloudError(f"{what}: it cannot be deleted: {error.message}") from error

    def _undeploy(self, target: Element, what: str) -> None:
        href = str(target.get("href"))
        if hardware.is_deployed(target):
            body = make("UndeployVAppParams", make("UndeployPowerAction", "powerOff"))
            self._client.run_unless(
                f"{href}/action/undeploy",
                what,
                lambda: not hardware.is_deployed(self._client.get(href)),
                body,
                "vcloud.undeployVAppParams",
            )

    def _release(self, vm: Element, disk: str, what: str) -> None:
        body = make("DiskAttachOrDetachParams", documents.reference("Disk", self._client.address(disk)))
        href = str(vm.get("href"))
        self._client.run_unless(
            f"{href}/disk/action/detach",
            f"{what}: disk {disk}",
            lambda: disk not in hardware.independent_disks(self._client.get(href)),
            body,
            documents.DISK_PARAMS,
        )

    def _is(self, vm_cid: str, wanted: Callable[[str], bool]) -> bool:
        return wanted(self._inventory.existing_vm(VmCid(vm_cid)).get("status", ""))

    def _existing_path(self, vm_cid: VmCid) -> str:
        raise failures.no_such_vm(vm_cid)
