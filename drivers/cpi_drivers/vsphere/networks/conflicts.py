"""Addresses that a VM tells as its own already."""

from collections.abc import Sequence

from cpi.contract import errors
from cpi.contract.model import Networks
from cpi_drivers.vsphere.api.client import vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.inventory import Net


def refuse_taken(site: Site, networks: Networks, nets: Sequence[Net]) -> None:
    """Raises VMCreationFailed naming who has an address. What is off, or has no VMware Tools, tells none."""
    if not site.vcenter.ensure_no_ip_conflicts:
        return
    ours = {net.reference for net in nets}
    search = site.client.manager("searchIndex")
    for network in networks.values():
        if not network.ip:
            continue
        arguments = {"datacenter": site.reference, "ip": network.ip, "vmSearch": True}
        found = site.client.call(search, "FindAllByIp", idempotent=True, **arguments)
        seen = site.client.read(found, {vim.VirtualMachine: ("name", "network")}) if found else {}
        taken = [vm["name"] for vm in seen.values() if ours & set(vm.get("network", ()))]
        if taken:
            raise errors.VMCreationFailed(f"the address {network.ip} is that of the VM {taken[0]} already", ok_to_retry=False)
