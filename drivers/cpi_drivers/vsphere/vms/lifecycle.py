"""VMs that exist: found, restarted, described, deleted."""

import json
import logging
from collections.abc import Collection, Mapping
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.contract.model import Metadata
from cpi.kit import private_files
from cpi_drivers.vsphere.api import devices
from cpi_drivers.vsphere.api.attributes import Attributes
from cpi_drivers.vsphere.api.client import Reference, vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.datacenters import Sites
from cpi_drivers.vsphere.api.errors import Refused
from cpi_drivers.vsphere.api.files import Files
from cpi_drivers.vsphere.disks.attachments import Attachments
from cpi_drivers.vsphere.disks.vmdks import Vmdks
from cpi_drivers.vsphere.vms import agent_settings, drs
from cpi_drivers.vsphere.vms.nsxt import memberships, ports

_log = logging.getLogger(__name__)

_NO_TOOLS: Final = frozenset({"ToolsUnavailable", "InvalidState", "InvalidPowerState", "TaskInProgress", "NotSupported"})


class Vms:
    """Clones of stemcells, with the folder of files that is theirs alone."""

    def __init__(self, sites: Sites, attachments: Attachments) -> None:
        self._sites = sites
        self._attachments = attachments

    def has(self, vm_cid: VmCid) -> bool:
        """Also if it is off."""
        return self._sites.vm(vm_cid) is not None

    def delete(self, vm_cid: VmCid, *, has_joined: bool = True) -> None:
        """All of it is gone when this returns; its disks are free. has_joined: it may be in groups and pools of NSX."""
        found = self._sites.vm(vm_cid)
        if found is not None:
            with private_files.one_at_a_time(
                found[0].client.folder, "vsphere-vm", vm_cid
            ):  # a disk that is attached now would go with it
                try:
                    self._remove(*found, has_joined=has_joined)
                except Refused as error:
                    if error.fault != "ManagedObjectNotFound" or self.has(vm_cid):  # what is gone may be something else
                        raise

    def _remove(self, site: Site, vm: Reference, *, has_joined: bool) -> None:
        """Off first, then its persistent disks go, then it, then its folder: a repeat goes on where one failed."""
        seen = devices.look(site.client, vm, "config.extraConfig", "config.instanceUuid")
        if seen.get("runtime.powerState") != "poweredOff":
            self._switch_off(site, vm)
        drs.leave(site, vm, seen.get("config.extraConfig") or ())
        if has_joined:
            memberships.leave(site, seen["name"], seen)
        attached = devices.persistent(seen, Vmdks(site).folder)
        self._attachments.release(site, vm, attached)
        self._release_others(site, vm, seen, {disk.device.key for disk in attached})
        self._remove_settings(site, seen)
        site.client.done(vm, "Destroy_Task", f"deleting the VM {seen['name']}", if_lost=("ManagedObjectNotFound",))

    def _release_others(self, site: Site, vm: Reference, seen: Mapping[str, Any], released: Collection[int]) -> None:
        """Disks that no CPI put there, and that no snapshot would hold: whoever made them independent means to keep them."""
        others = [disk for disk in devices.disks(seen["config.hardware.device"]) if disk.key not in released]
        left = [disk for disk in others if str(getattr(disk.backing, "diskMode", "")).startswith("independent")]
        if left:
            spec = vim.vm.ConfigSpec(deviceChange=[devices.removal(disk) for disk in left])
            site.client.done(vm, "ReconfigVM_Task", "detaching disks", if_lost=("InvalidDeviceSpec",), spec=spec)

    def _remove_settings(self, site: Site, seen: Mapping[str, Any]) -> None:
        """What the vCenter does not count among the VM's files. Its folder goes with it, being empty then."""
        folder = folder_of(seen)
        for name in (agent_settings.ISO, agent_settings.PLAIN) if folder is not None else ():
            Files(site.client, site).remove(f"{folder}/{name}")

    def reboot(self, vm_cid: VmCid) -> None:
        """Softly, else hard; started if it is off."""
        site, vm = self._sites.existing_vm(vm_cid)
        state = site.client.read([vm], {vim.VirtualMachine: ("runtime.powerState",)})[vm]["runtime.powerState"]
        if state != "poweredOn":
            self.switch_on(site, vm)
            return
        try:
            site.client.call(vm, "RebootGuest")
        except Refused as error:
            if error.fault not in _NO_TOOLS:
                raise
            _log.info("the guest of %s cannot be asked to reboot (%s): it is reset", vm_cid, error.fault)
            site.client.done(vm, "ResetVM_Task", f"resetting the VM {vm_cid}")

    def set_metadata(self, vm_cid: VmCid, metadata: Metadata) -> None:
        """As custom attributes; in NSX as tags of its segment ports."""
        site, vm = self._sites.existing_vm(vm_cid)
        Attributes(site.client).set(vm, metadata)
        ports.tag(site, vm, metadata)

    def agent_settings(self, vm_cid: VmCid) -> Mapping[str, Any]:
        """What lies in its folder."""
        site, vm = self._sites.existing_vm(vm_cid)
        seen = site.client.read([vm], {vim.VirtualMachine: ("config.files.vmPathName",)})[vm]
        store, _, path = (folder_of(seen) or "").removeprefix("[").partition("] ")
        content = Files(site.client, site).read(store, f"{path}/{agent_settings.PLAIN}")
        if content is None:
            raise errors.CloudError(f"the VM {vm_cid} has no {agent_settings.PLAIN} in its folder")
        settings: Mapping[str, Any] = json.loads(content)
        return settings

    def switch_on(self, site: Site, vm: Reference) -> None:
        """Running when this returns."""
        try:
            site.client.done(vm, "PowerOnVM_Task", "switching the VM on", if_lost=("InvalidPowerState",))
        except Refused as error:
            if error.fault != "InvalidPowerState":
                raise

    def _switch_off(self, site: Site, vm: Reference) -> None:
        try:
            site.client.done(vm, "PowerOffVM_Task", "switching the VM off", if_lost=("InvalidPowerState",))
        except Refused as error:
            if error.fault != "InvalidPowerState":
                raise


def folder_of(seen: Mapping[str, Any]) -> str | None:
    """`[datastore] folder` of a VM's own files; None if they lie in the datastore's root, which is not its own."""
    folder = str(seen.get("config.files.vmPathName") or "").rpartition("/")[0]
    return folder if "] " in folder else None
