"""Ports of VMs: made before them, so that addresses are taken or refused before anything boots."""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.model import CallContext
from cpi.kit.failures import AnswerLost
from cpi.kit.undo import Undo
from cpi_drivers.openstack import naming
from cpi_drivers.openstack.api.client import Client
from cpi_drivers.openstack.api.errors import Conflicting, Missing, Refused
from cpi_drivers.openstack.api.states import Document
from cpi_drivers.openstack.networks.requested import Nic
from cpi_drivers.openstack.properties import VmProperties

_OURS: Final = re.compile(r"vm-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/")
_TAKEN: Final = frozenset({"IpAddressAlreadyAllocated", "IpAddressInUse"})
_NO_ADDRESS: Final = frozenset({"IpAddressGenerationFailure", "IpAddressGenerationFailureAllSubnets"})

_log = logging.getLogger(__name__)


class Ports:
    """Neutron's ports."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def make(self, nic: Nic, name: str, groups: Sequence[str], wish: VmProperties, undo: Undo, context: CallContext) -> Document:
        """A port with the NIC's addresses, removed by undo; name is that of its VM."""
        self._demand_vrrp_port(nic, wish)
        body: dict[str, Any] = {
            "network_id": nic.net_id,
            "name": f"{name}/{nic.names[0]}",
            "description": " ".join(f"{key}={value}" for key, value in naming.metadata_at_birth(context, None).items()),
        }
        if nic.addresses:
            body["fixed_ips"] = [{"ip_address": address} for address in nic.addresses]
        if groups:
            body["security_groups"] = list(groups)
        if wish.allowed_address_pairs:
            body["allowed_address_pairs"] = [{"ip_address": wish.allowed_address_pairs}]
        port = self._post_past_conflict(nic, body)
        undo.push(f"port {port['id']}", lambda: self.remove(port["id"]))
        return port

    def remove(self, port_id: str) -> None:
        """Gone when this returns; what was not there is gone."""
        try:
            self._client.delete("network", f"/ports/{port_id}")
        except Missing:
            return

    def remove_unused(self, nics: Sequence[Nic], name: str) -> None:
        """What a killed call made for a VM of that name, which has none: ports with an address are found by their address."""
        for nic in nics:
            for port in [] if nic.addresses else self._find(name=f"{name}/{nic.names[0]}"):
                if _is_nobodys(port):
                    self.remove(port["id"])

    def mark(self, port: Document, vm_cid: str) -> None:
        """Write the VM on the port: its port is found by that when the VM is gone. Clouds without tags go without."""
        try:
            self._client.put("network", f"/ports/{port['id']}/tags/{naming.port_tag(vm_cid)}", None)
        except Refused as error:
            _log.warning("the port %s is not tagged: %s", port["id"], error)

    def of(self, vm_cid: str) -> list[Document]:
        """The ports that a VM has."""
        return self._find(device_id=vm_cid)

    def addressed(self, port: Document) -> Document:
        """As it is now: Neutron may choose an address later than it makes the port."""
        now: Document = self._client.get("network", f"/ports/{port['id']}")["port"]
        return now

    def left_by(self, vm_cid: str) -> list[Document]:
        """The ports that belonged to a VM that is gone."""
        return self._find(tags=naming.port_tag(vm_cid))

    def _find(self, **query: str) -> list[Document]:
        return list(self._client.pages("network", "/ports", "ports", query))

    def _post_past_conflict(self, nic: Nic, body: Mapping[str, Any]) -> Document:
        """A port of a VM that is gone may still hold the address: it is removed if it is down and nobody's."""
        try:
            return self._post(body, nic)
        except Conflicting as error:
            if not _is_taken(error, nic):
                raise _refused(nic, error) from error
            held = [port for address in nic.addresses for port in self._holding(nic, address)]
            stale = [port for port in held if _is_nobodys(port)]
            if not stale:
                by = ", ".join(f"the port {port['id']} {port.get('name') or ''}".rstrip() for port in held)
                told = f"the address {', '.join(nic.addresses)} is taken{' by ' if by else ''}{by}"
                raise errors.VMCreationFailed(f"{told}: {error.said}") from error
            for port in stale:
                _log.warning("the port %s is down and has no owner: it is removed to free its address", port["id"])
                self.remove(port["id"])
            return self._post(body, nic)

    def _post(self, body: Mapping[str, Any], nic: Nic) -> Document:
        try:
            made: Document = self._client.post("network", "/ports", {"port": body})["port"]
        except AnswerLost:
            found = [port for port in self._find(name=body["name"]) if port["network_id"] == nic.net_id and not port["device_id"]]
            if not found:
                raise
            made = found[0]
        except Missing as error:
            raise errors.CloudError(f"networks {', '.join(nic.names)}: {error.said}") from error
        except Refused as error:
            if error.is_quota:
                raise errors.VMCreationFailed(f"no port in {nic.net_id}: the project's quota: {error.said}") from error
            if isinstance(error, Conflicting):
                raise
            raise _refused(nic, error) from error
        return made

    def _holding(self, nic: Nic, address: str) -> list[Document]:
        return self._find(network_id=nic.net_id, fixed_ips=f"ip_address={address}")

    def _demand_vrrp_port(self, nic: Nic, wish: VmProperties) -> None:
        demanded = wish.vrrp_port_check if nic.vrrp_port_check is None else nic.vrrp_port_check
        if wish.allowed_address_pairs and demanded and not self._holding(nic, wish.allowed_address_pairs):
            raise errors.CloudError(
                f"no port in the network {nic.net_id} has the address {wish.allowed_address_pairs} of allowed_address_pairs; "
                "make one, or say vrrp_port_check: false"
            )


def _is_nobodys(port: Document) -> bool:
    """Nothing uses it, and no operator has put it by."""
    is_unused = port["status"] == "DOWN" and not port.get("device_id") and not port.get("device_owner")
    return is_unused and not is_foreign(port)


def is_foreign(port: Document) -> bool:
    """Whether somebody else has made it: it has a name or a description, and neither our name nor our tag.

    The ports of the official CPIs have none of all these.
    """
    ours = _OURS.match(port.get("name") or "") or any(str(tag).startswith(naming.PORT_TAG) for tag in port.get("tags") or ())
    return not ours and bool(port.get("name") or port.get("description"))


def _is_taken(error: Refused, nic: Nic) -> bool:
    """Whether the address is what is wrong; a Neutron that does not say what is wrong is taken to mean that."""
    return bool(nic.addresses) and (not error.kind or error.kind in _TAKEN)


def _refused(nic: Nic, error: Refused) -> errors.Error:
    told = f"no port for {', '.join(nic.names)} in the network {nic.net_id}: {error.said}"
    return errors.VMCreationFailed(told, ok_to_retry=True) if error.kind in _NO_ADDRESS else errors.CloudError(told)
