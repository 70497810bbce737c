"""All datacenters of the configuration, of one vCenter or of several."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cpi.contract import errors
from drivers.vsphere.client import Client, Reference
from drivers.vsphere.settings import VCenter
from drivers.vsphere.site import Site

if TYPE_CHECKING:
    from drivers.vsphere.nsxt.client import Nsx


class Sites:
    """Things are looked for in one after the other, in the order of the configuration."""

    def __init__(self, vcenters: Sequence[VCenter], director_uuid: str = "") -> None:
        self.clients = [Client(vcenter) for vcenter in vcenters]
        self._managers = [_manager(vcenter, client) for client, vcenter in zip(self.clients, vcenters, strict=True)]
        self._sites = [
            Site(client, vcenter, datacenter, director_uuid, nsx)
            for client, vcenter, nsx in zip(self.clients, vcenters, self._managers, strict=True)
            for datacenter in vcenter.datacenters
        ]

    def __iter__(self) -> Iterator[Site]:
        return iter(self._sites)

    @property
    def first(self) -> Site:
        """Where things lie that nothing else is said of."""
        return self._sites[0]

    def named(self, name: str) -> Site:
        """A datacenter by its name. Raises CloudError naming those that there are."""
        for site in self._sites:
            if site.datacenter.name == name:
                return site
        known = ", ".join(site.datacenter.name for site in self._sites)
        raise errors.CloudError(f"the configuration has no datacenter {name!r}, it has: {known}")

    def vm(self, cid: str) -> tuple[Site, Reference] | None:
        """Where a VM is."""
        for site in self._sites:
            found = site.vm(cid)
            if found is not None:
                return site, found
        return None

    def existing_vm(self, cid: str) -> tuple[Site, Reference]:
        """Raises VMNotFound."""
        found = self.vm(cid)
        if found is None:
            raise errors.VMNotFound(f"the VM {cid} does not exist")
        return found

    def close(self) -> None:
        """Let go of connections."""
        for client in self.clients:
            client.close()
        for nsx in filter(None, self._managers):
            nsx.close()


def _manager(vcenter: VCenter, client: Client) -> "Nsx | None":
    if vcenter.nsxt is None:
        return None
    from drivers.vsphere.nsxt.client import Nsx  # its HTTP client takes longer to import than most calls need

    return Nsx(vcenter.nsxt, client.folder)
