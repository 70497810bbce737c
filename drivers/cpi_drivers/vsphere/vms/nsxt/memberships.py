"""What a VM joins at its birth and leaves at its end: groups, and server pools of load balancers."""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from cpi.contract import errors
from cpi.contract.model import Network, Networks
from cpi.kit.undo import Undo
from cpi_drivers.vsphere.api.client import Reference, vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.nsxt.errors import NsxRefused
from cpi_drivers.vsphere.api.nsxt.naming import POLICY, named, one_of
from cpi_drivers.vsphere.nsxt_settings import VmNsxt
from cpi_drivers.vsphere.vms.nsxt import groups, pools, ports
from cpi_drivers.vsphere.vms.nsxt.memory import Joined, remembered
from cpi_drivers.vsphere.vms.nsxt.pools import Member

if TYPE_CHECKING:
    from cpi_drivers.vsphere.api.nsxt.client import Nsx

_GONE: Final = 404


def wanted(site: Site, requested: VmNsxt | None, networks: Networks) -> Joined | None:
    """What a VM type asks for, found in NSX; None where no NSX is configured.

    Raises CpiError for a static pool without an address, CloudError for what is not there.
    """
    nsx = site.nsx
    if nsx is None:
        if requested is not None and requested != VmNsxt():
            raise errors.CpiError("nsxt: the configuration has no nsxt block, so there are no groups and pools to join")
        return None
    asked = requested or VmNsxt()
    if not nsx.settings.use_policy_api and (asked.ns_groups or asked.lb.server_pools):
        raise errors.CpiError(
            "nsxt: the configuration's nsxt.use_policy_api is not true, so ns_groups and lb.server_pools mean those of NSX's "
            "manager API, which has come to its end and is not supported: make them by the policy API, and set it to true"
        )
    found = [str(group["path"]) for group in named(nsx, "Group", "groups", asked.ns_groups).values()]
    known = named(nsx, "LBPool", "server pools", [pool.name for pool in asked.lb.server_pools])
    members = []
    for requested_pool in asked.lb.server_pools:
        pool = known[requested_pool.name]
        group = pools.group_of(pool)
        if group is None:
            members.append(Member(str(pool["path"]), _address(networks, requested_pool.name), requested_pool.port))
        else:
            found.append(group)
    vif_type = nsx.settings.default_vif_type if asked.vif_type is msgspec.UNSET else asked.vif_type
    tagged = nsx.settings.tag_nsx_vm_objects if asked.tag_nsx_vm_objects is None else asked.tag_nsx_vm_objects
    return Joined(tuple(dict.fromkeys(found)), tuple(members), vif_type, tagged)


def _address(networks: Networks, pool: str) -> str:
    """That of the network with the default gateway, or the first that there is."""
    told: Sequence[Network] = [network for network in networks.values() if network.ip]
    first = next((network for network in told if "gateway" in (network.default or ())), told[0] if told else None)
    if first is None or first.ip is None:
        raise errors.CpiError(
            f"nsxt.lb: the server pool {pool!r} is static, so the VM's address must be known: give it a manual network"
        )
    return first.ip


def join(site: Site, vm: Reference, name: str, joined: Joined | None, undo: Undo) -> None:
    """Before the VM runs: what protects it does so from its first packet on. Left again by undo, whatever becomes of the VM."""
    nsx = site.nsx
    if nsx is None or joined is None or not (joined.groups or joined.members):
        return
    identity = str(site.client.read([vm], {vim.VirtualMachine: ("config.instanceUuid",)})[vm]["config.instanceUuid"])
    for path in joined.groups:
        undo.push(f"{name} ({identity}) from {path} in NSX", functools.partial(_leave_group, nsx, path, identity))
        nsx.changed(POLICY + path, lambda group: groups.with_vm(group, identity))
    for member in joined.members:
        undo.push(f"{name} ({member.address}) from {member.pool} in NSX", functools.partial(_leave_pool, nsx, member, name))
        nsx.changed(POLICY + member.pool, functools.partial(pools.with_member, name=name, member=member))


def settle(site: Site, vm: Reference, joined: Joined | None) -> None:
    """What can be done once the VM runs: its segment ports are there only then."""
    if site.nsx is not None and joined is not None and joined.vif_type:
        ports.set_type(site, site.nsx, vm, joined.vif_type)


def leave(site: Site, name: str, seen: Mapping[str, Any]) -> None:
    """Before the VM goes. All of it may be gone already: a repeat finishes what is left."""
    nsx, identity = site.nsx, seen.get("config.instanceUuid")
    if nsx is None or not identity:
        return
    joined = remembered(seen.get("config.extraConfig") or ())
    if joined is None:
        _leave_unknown(nsx, name, str(identity))
        return
    for path in joined.groups:
        _leave_group(nsx, path, str(identity))
    for member in joined.members:
        _leave_pool(nsx, member, name)


def _leave_group(nsx: "Nsx", path: str, identity: str) -> None:
    _changed_if_there(nsx, path, lambda group: groups.without_vm(group, identity))


def _leave_pool(nsx: "Nsx", member: Member, name: str) -> None:
    _changed_if_there(nsx, member.pool, lambda pool: pools.without_member(pool, name, member))


def _leave_unknown(nsx: "Nsx", name: str, identity: str) -> None:
    """Of a VM that another CPI has made NSX is asked."""
    member_of = nsx.pages(f"{POLICY}/infra/virtual-machine-group-associations", vm_external_id=identity)
    for path in [str(group["path"]) for group in member_of if group.get("path")]:
        _leave_group(nsx, path, identity)
    for pool in nsx.search("LBPool", f"members.display_name:{one_of([name])}"):
        _changed_if_there(nsx, str(pool["path"]), lambda pool: pools.without_named(pool, name))


def _changed_if_there(nsx: "Nsx", path: str, change: Any) -> None:
    try:
        nsx.changed(POLICY + path, change)
    except NsxRefused as error:
        if error.status != _GONE:
            raise
