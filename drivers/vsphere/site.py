"""One datacenter of one vCenter: where its things lie in the inventory."""

import functools
from typing import TYPE_CHECKING

from cpi.contract import errors
from drivers.vsphere.client import Client, Reference, vim
from drivers.vsphere.errors import Refused
from drivers.vsphere.naming import escaped
from drivers.vsphere.settings import Datacenter, VCenter
from drivers.vsphere.stores import Choice

if TYPE_CHECKING:
    from drivers.vsphere.nsxt.client import Nsx


class Site:
    """A datacenter as the configuration names it. Nothing is asked before it is needed."""

    def __init__(self, client: Client, vcenter: VCenter, datacenter: Datacenter, nsx: "Nsx | None" = None) -> None:
        self.client = client
        self.nsx = nsx
        self.vcenter = vcenter
        self.datacenter = datacenter
        self.vm_stores = Choice(datacenter.datastore_pattern, datacenter.datastore_cluster_pattern)
        self.disk_stores = Choice(datacenter.persistent_datastore_pattern, datacenter.persistent_datastore_cluster_pattern)

    @functools.cached_property
    def reference(self) -> Reference:
        """The datacenter itself. Raises CloudError if it is not there."""
        found = self.client.find(self.datacenter.name)
        if not isinstance(found, vim.Datacenter):
            raise errors.CloudError(f"{self.client.where.url} has no datacenter {self.datacenter.name!r}")
        return found

    def vm(self, cid: str) -> Reference | None:
        """A VM by its CID."""
        return self._vm_at(f"{self.datacenter.vm_folder}/{escaped(cid)}")

    def stemcell(self, name: str) -> Reference | None:
        """A stemcell, or a copy of one, by its name."""
        return self._vm_at(f"{self.datacenter.template_folder}/{escaped(name)}")

    def folder(self, path: str) -> Reference:
        """A folder of VMs, made if it is not there."""
        found = self.client.find(f"{self.datacenter.name}/vm/{path}")
        return found if found is not None else self._make_folder(path)

    def found_folder(self, path: str) -> Reference | None:
        """A folder of VMs."""
        return self.client.find(f"{self.datacenter.name}/vm/{path}")

    def _vm_at(self, path: str) -> Reference | None:
        found = self.client.find(f"{self.datacenter.name}/vm/{path}")
        return found if isinstance(found, vim.VirtualMachine) else None

    def _make_folder(self, path: str) -> Reference:
        above, _, name = path.strip("/").rpartition("/")
        parent = self.folder(above) if above else self.client.find(f"{self.datacenter.name}/vm")
        if parent is None:
            raise errors.CloudError(f"{self.client.where.url} has no datacenter {self.datacenter.name!r}")
        try:
            return self.client.call(parent, "CreateFolder", name=name)
        except Refused as error:
            if error.fault != "DuplicateName":
                raise
        return self.client.find(f"{self.datacenter.name}/vm/{path}")
