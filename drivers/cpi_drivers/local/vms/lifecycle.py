"""VMs that exist: processes with a folder of their own."""

import contextlib

from cpi.contract import errors
from cpi.contract.model import CloudProperties, VmResources
from cpi.kit.agent_settings import Settings
from cpi_drivers.local.agent.containers.cgroups import cgroup_of, remove_cgroups
from cpi_drivers.local.disks.links import Links
from cpi_drivers.local.host import agent_documents
from cpi_drivers.local.host.layout import remove_folder
from cpi_drivers.local.host.register import Register
from cpi_drivers.local.host.vm_process import VmProcess


class Vms:
    """The VMs of one local cloud."""

    def __init__(self, register: Register, links: Links) -> None:
        self._register = register
        self._links = links
        register.removed_by("vms", self._remove)

    def delete(self, vm_cid: str) -> None:
        """As in the contract: a missing VM is fine."""
        self._register.finish_deleting("vms", vm_cid)
        with contextlib.suppress(errors.VMNotFound), self._register.locked("vms", vm_cid):
            self._register.delete("vms", vm_cid)

    def has(self, vm_cid: str) -> bool:
        """As in the contract: a VM all of whose processes are gone is lost."""
        if self._register.find("vms", vm_cid) is None:
            return False
        if self._process(vm_cid).alive():
            return True
        # dead for a moment while it is rebooted
        with contextlib.suppress(errors.VMNotFound), self._register.locked("vms", vm_cid):
            return self._process(vm_cid).alive()
        return False

    def reboot(self, vm_cid: str) -> None:
        """As in the contract: its processes are killed, and started again with the same settings."""
        with self._register.locked("vms", vm_cid):
            self._process(vm_cid).kill()
            for disk in self._links.of_vm(vm_cid):
                with self._register.locked("disks", disk["cid"]) as found:
                    present = self._links.settled(found)
                    if present["vm_cid"] == vm_cid:
                        self._links.renew(present)
            self._process(vm_cid).start()

    def settings(self, vm_cid: str) -> Settings:
        """What the VM's agent was given. Raises VMNotFound."""
        self._register.get("vms", vm_cid)
        return agent_documents.read_settings(self._register.layout.vm(vm_cid))

    def _remove(self, vm_cid: str) -> None:
        self._process(vm_cid).kill()
        for disk in self._links.of_vm(vm_cid):
            with self._register.locked("disks", disk["cid"]) as present:
                if present["vm_cid"] == vm_cid:
                    self._links.unlink(present)
        remove_cgroups(cgroup_of(str(self._register.layout.vm(vm_cid))))
        remove_folder(self._register.layout.vm(vm_cid))

    def _process(self, vm_cid: str) -> VmProcess:
        return VmProcess(self._register.layout.vm(vm_cid))


def smallest(resources: VmResources) -> CloudProperties:
    """The cloud properties of a VM that has resources. Raises CpiError for what is no size."""
    wanted = {"cpu": resources.cpu, "ram": int(resources.ram), "ephemeral_disk_size": int(resources.ephemeral_disk_size)}
    wrong = [name for name, value in wanted.items() if value <= 0]
    if wrong:
        raise errors.CpiError(f"resources of a VM are positive whole numbers: {', '.join(wrong)}")
    return wanted
