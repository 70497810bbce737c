"""One datacenter of one vCenter: where its things lie in the inventory."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from cpi.contract import errors
from cpi_drivers.vsphere.api.client import Client, Reference, Step, vim
from cpi_drivers.vsphere.api.datastores import Choice
from cpi_drivers.vsphere.api.errors import Refused
from cpi_drivers.vsphere.naming import escaped, is_stemcell
from cpi_drivers.vsphere.settings import Datacenter, VCenter

if TYPE_CHECKING:
    from cpi_drivers.vsphere.api.nsxt.client import Nsx

_EVERY_VM: Final = {
    "VMs": Step(vim.Datacenter, "vmFolder", ("in folders",)),
    "in folders": Step(vim.Folder, "childEntity", ("in folders", "in vApps", "vApps in vApps")),
    "in vApps": Step(vim.VirtualApp, "vm"),
    "vApps in vApps": Step(vim.VirtualApp, "resourcePool", ("in vApps", "vApps in vApps")),
}


class Site:
    """A datacenter as the configuration names it. Nothing is asked before it is needed."""

    def __init__(
        self, client: Client, vcenter: VCenter, datacenter: Datacenter, director_uuid: str, nsx: "Nsx | None" = None
    ) -> None:
        self.client = client
        self.nsx = nsx
        self.vcenter = vcenter
        self.datacenter = datacenter
        self.vm_stores = Choice(datacenter.datastore_pattern, datacenter.datastore_cluster_pattern)
        self.disk_stores = Choice(datacenter.persistent_datastore_pattern, datacenter.persistent_datastore_cluster_pattern)
        self._reference: Reference | None = None
        below = f"/{escaped(director_uuid)}" if datacenter.has_sub_folders and director_uuid else ""
        self.vm_folder = datacenter.vm_folder + below
        """Where VMs are made; those made before there were folders for directors lie above."""

        self.template_folder = datacenter.template_folder + below
        """Where stemcells are made, as with vm_folder."""

    @property
    def reference(self) -> Reference:
        """The datacenter itself, asked for once. Raises CloudError if it is not there."""
        if self._reference is None:
            found = self.client.find(self.datacenter.name)
            if not isinstance(found, vim.Datacenter):
                raise errors.CloudError(
                    f"{self.client.where.url} has no datacenter {self.datacenter.name!r}, or {self.vcenter.user} may not see it: "
                    "the configuration's `datacenters` name it by its path from the root folder on"
                )
            self._reference = found
        return self._reference

    def refuse_missing(self) -> None:
        """Before anything is said to be gone: who cannot see the datacenter sees nothing in it. Raises CloudError."""
        _ = self.reference

    def is_in(self, found: Iterable[Reference]) -> None:
        """What was found besides other things is this datacenter: it need not be asked for."""
        self._reference = next((item for item in found if isinstance(item, vim.Datacenter)), self._reference)

    def vm(self, cid: str) -> Reference | None:
        """A VM by its CID, where the configuration says that VMs are."""
        return self._vm_in((self.vm_folder, self.datacenter.vm_folder), cid)

    def vm_anywhere(self, cid: str) -> Reference | None:
        """A VM by its CID, in whatever folder. Raises CloudError if several are called so."""
        return self.vm(cid) or self.vm_elsewhere(cid)

    def vm_elsewhere(self, cid: str) -> Reference | None:
        """As vm_anywhere, for who has looked where the configuration says."""
        found = self.vms_called(lambda name: name == cid) if not is_stemcell(cid) else []
        if len(found) > 1:
            raise errors.CloudError(
                f"{len(found)} VMs in the datacenter {self.datacenter.name} of {self.client.where.url} are called {cid}, and "
                f"none is in the folder {self.vm_folder}: move the one that is meant there, or give the others other names"
            )
        return found[0] if found else None

    def vms_called(self, is_meant: Callable[[str], bool]) -> list[Reference]:
        """Every VM of the datacenter, stemcells too, with such a name, in whatever folder or vApp."""
        found = self.client.read([self.reference], {vim.VirtualMachine: ("name",)}, _EVERY_VM)
        return [vm for vm, seen in found.items() if is_meant(seen.get("name", ""))]

    def stemcell(self, name: str) -> Reference | None:
        """A stemcell, or a copy of one, by its name, where the configuration says that they are."""
        return self._vm_in((self.template_folder, self.datacenter.template_folder), name)

    def stemcell_elsewhere(self, name: str) -> Reference | None:
        """As stemcell, in whatever folder."""
        return next(iter(self.vms_called(lambda known: known == name)), None)

    def folder(self, path: str) -> Reference:
        """A folder of VMs, made if it is not there."""
        found = self.client.find(f"{self.datacenter.name}/vm/{path}")
        return found if found is not None else self._make_folder(path)

    def _vm_in(self, folders: Iterable[str], name: str) -> Reference | None:
        for folder in dict.fromkeys(folders):
            found = self.client.find(f"{self.datacenter.name}/vm/{folder}/{escaped(name)}")
            if isinstance(found, vim.VirtualMachine):
                return found
        return None

    def _make_folder(self, path: str) -> Reference:
        above, _, name = path.strip("/").rpartition("/")
        if not above:
            self.refuse_missing()
        parent = self.folder(above) if above else self.client.find(f"{self.datacenter.name}/vm")
        try:
            return self.client.call(parent, "CreateFolder", name=name)
        except Refused as error:
            if error.fault != "DuplicateName":
                raise
        return self.client.find(f"{self.datacenter.name}/vm/{path}")
