"""All datacenters of the configuration, of one vCenter or of several."""

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cpi.contract import errors
from cpi.kit import failures
from cpi_drivers.vsphere.api.client import Client, Reference
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.settings import VCenter

if TYPE_CHECKING:
    from cpi_drivers.vsphere.api.nsxt.client import Nsx

_log = logging.getLogger(__name__)


class Sites:
    """Things are looked for in one after the other, in the order of the configuration."""

    def __init__(self, vcenters: Sequence[VCenter], director_uuid: str = "", session: Any = None) -> None:
        self.clients = [Client(vcenter, session) for vcenter in vcenters]
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

    def named(self, name: str | None) -> Site:
        """A datacenter by its name or its path; the first without one. Raises CloudError naming those that there are."""
        if not name:
            return self.first
        meant = [site for site in self._sites if site.datacenter.name == name] or [
            site for site in self._sites if _last(site.datacenter.name) == name or site.datacenter.name == _last(name)
        ]
        if len(meant) == 1:
            return meant[0]
        if len(self._sites) == 1:
            _log.warning(
                "the AZ names the datacenter %r; the one of the configuration is used: %r", name, self.first.datacenter.name
            )
            return self.first
        known = ", ".join(site.datacenter.name for site in self._sites)
        raise errors.CloudError(f"the configuration has no datacenter {name!r}, it has: {known}")

    def vm(self, cid: str) -> tuple[Site, Reference] | None:
        """Where a VM is; None if it is nowhere. Raises CloudError where that cannot be known."""
        for site in self._sites:
            found = site.vm(cid)
            if found is not None:
                return site, found
        for site in self._sites:  # each of them before any is asked for all that it has
            site.refuse_missing()
        for site in self._sites:
            found = site.vm_elsewhere(cid)
            if found is not None:
                _log.warning("the VM %s is not in the folder %s: it was found elsewhere", cid, site.vm_folder)
                return site, found
        return None

    def existing_vm(self, cid: str) -> tuple[Site, Reference]:
        """Raises VMNotFound."""
        found = self.vm(cid)
        if found is None:
            raise failures.no_such_vm(cid)
        return found

    def close(self) -> None:
        """Let go of connections."""
        for client in self.clients:
            client.close()
        for nsx in filter(None, self._managers):
            nsx.close()


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _manager(vcenter: VCenter, client: Client) -> "Nsx | None":
    if vcenter.nsxt is None:
        return None
    from cpi_drivers.vsphere.api.nsxt.client import Nsx  # its HTTP client takes longer to import than most calls need

    return Nsx(vcenter.nsxt, client.folder)
