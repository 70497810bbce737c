"""Which disk is linked to which VM: on record, in the VM's settings, and as a device.

The record goes first to "changing" and last to "attached" or to nothing, under the disk's lock. A link that is
changing while nobody holds the disk's lock was left by a process that died: nobody was told of it, so it is undone.
"""

from cpi.contract.ids import DiskCid
from cpi.contract.model import DiskHint
from cpi.kit.undo import Undo
from cpi_drivers.local.disks.backings import BACKINGS
from cpi_drivers.local.host import agent_documents
from cpi_drivers.local.host.register import Register, Row


class Links:
    """The links of one local cloud."""

    def __init__(self, register: Register) -> None:
        self._register = register
        register.links_settled_by(self._settle)

    def link(self, vm_cid: str, disk: Row) -> str:
        """Link a loose disk, which the caller has locked, to the VM; the path at which the agent finds it."""
        cid = disk["cid"]
        with Undo() as undo:
            undo.push(f"the link of disk {cid} to VM {vm_cid}", lambda: self.unlink(self._register.get("disks", cid)))
            self._record(cid, vm_cid, "changing", "")
            path = BACKINGS[disk["backing"]].connect(self._register.layout.disk(cid))
            self._record(cid, vm_cid, "changing", path)
            self._tell_agent(vm_cid)
            self._record(cid, vm_cid, "attached", path)
        return path

    def renew(self, disk: Row) -> str:
        """The path of an attached disk, true also after a restart of the machine took its device away."""
        path = BACKINGS[disk["backing"]].connect(self._register.layout.disk(disk["cid"]))
        if path != disk["hint"]:
            self._record(disk["cid"], disk["vm_cid"], "attached", path)
        self._tell_agent(disk["vm_cid"])
        return path

    def unlink(self, disk: Row) -> None:
        """Loosen a disk, which the caller has locked. Raises CloudError, with nothing changed, while its device is in use."""
        cid, vm_cid = disk["cid"], disk["vm_cid"]
        backing, folder = BACKINGS[disk["backing"]], self._register.layout.disk(cid)
        backing.wait_until_unused(folder, f"disk {cid} cannot be taken from VM {vm_cid}, unmount it there first")
        self._record(cid, vm_cid, "changing", "")
        self._tell_agent(vm_cid)
        backing.disconnect(folder)
        self._record(cid, None, "", "")

    def settled(self, disk: Row) -> Row:
        """The disk, which the caller has locked, after what a process that died left of its link was undone."""
        if disk["link"] != "changing":
            return disk
        self.unlink(disk)
        return self._register.get("disks", disk["cid"])

    def _settle(self, disk_cid: str) -> None:
        disk = self._register.find("disks", disk_cid)
        if disk is not None:
            self.settled(disk)

    def of_vm(self, vm_cid: str) -> list[Row]:
        """The disks linked to a VM, attached or changing."""
        return self._register.state.rows("SELECT * FROM disks WHERE vm_cid = :vm_cid ORDER BY rowid", {"vm_cid": vm_cid})

    def hints(self, vm_cid: str) -> dict[DiskCid, DiskHint]:
        """Where a VM's agent finds its disks."""
        return {DiskCid(disk["cid"]): DiskHint(path=disk["hint"]) for disk in self.of_vm(vm_cid) if disk["hint"]}

    def _tell_agent(self, vm_cid: str) -> None:
        agent_documents.write_disks(self._register.layout.vm(vm_cid), lambda: self.hints(vm_cid))

    def _record(self, cid: str, vm_cid: str | None, link: str, hint: str) -> None:
        self._register.state.change(
            "UPDATE disks SET vm_cid = :vm_cid, link = :link, hint = :hint WHERE cid = :cid",
            {"cid": cid, "vm_cid": vm_cid, "link": link, "hint": hint},
        )
