"""The vip network: a floating IP, moved to the VM wherever it was."""

from cpi.contract import errors
from cpi_drivers.openstack.api.client import Client
from cpi_drivers.openstack.api.states import Document


class FloatingIps:
    """Neutron's. They are the operator's: moved, never made or deleted."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def find(self, address: str) -> Document:
        """Raises CloudError for an address that the project does not have."""
        found = list(self._client.pages("network", "/floatingips", "floatingips", {"floating_ip_address": address}))
        if not found:
            raise errors.CloudError(f"the floating IP {address} is not the project's: allocate it first")
        first: Document = found[0]
        return first

    def move(self, floating_ip: Document, port: Document) -> None:
        """To a port; from another one, if it is there."""
        self._client.put("network", f"/floatingips/{floating_ip['id']}", {"floatingip": {"port_id": port["id"]}})
