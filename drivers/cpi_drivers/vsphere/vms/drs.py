"""What DRS is told of a VM: groups, rules that keep VMs apart or on hosts, and to leave it where it is.

A cluster's rules are read, changed and written as a whole, so one process does it at a time.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from cpi.contract.encoding import from_json
from cpi_drivers.vsphere.api import mutex
from cpi_drivers.vsphere.api.client import Reference, vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.errors import Refused
from cpi_drivers.vsphere.settings import HostGroup

_log = logging.getLogger(__name__)

OPTION: Final = "multicpi.drs"
"""The option of a VM that remembers what it joined."""

_PATHS: Final = ("configurationEx.group", "configurationEx.rule")
_GROUP_LOCK: Final = "drs"


class WantedVm(msgspec.Struct, frozen=True):
    """What a VM joins."""

    vm_group: str | None = None
    apart: tuple[str, ...] = ()
    """Names of rules whose VMs are kept on hosts of their own."""

    host_group: HostGroup | None = None
    stays: bool = False
    """DRS leaves it where it is."""

    @property
    def groups(self) -> list[str]:
        """The VM groups."""
        of_hosts = [group_on(self.host_group)] if self.host_group else []
        return [*([self.vm_group] if self.vm_group else []), *of_hosts]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.groups or self.apart or self.stays)


class Joined(msgspec.Struct, frozen=True):
    """What a VM has joined, as it remembers it."""

    cluster: str
    groups: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()


def group_on(hosts: HostGroup) -> str:
    """The VM group of those that belong on a host group."""
    return f"multicpi on {hosts.name}"


def memory(wanted: WantedVm, cluster: Reference) -> dict[str, str]:
    """The VM's option; none if it joins nothing."""
    if not (wanted.groups or wanted.apart):
        return {}
    joined = Joined(cluster._moId, tuple(wanted.groups), wanted.apart)  # noqa: SLF001 - an id has no public name in the SDK
    return {OPTION: msgspec.json.encode(joined).decode()}


def join(site: Site, cluster: Reference, vm: Reference, wanted: WantedVm) -> None:
    """All at once, before the VM runs."""
    if wanted.is_empty:
        return

    def change(seen: Mapping[str, Any]) -> Any:
        groups = [_with(seen, name, vm) for name in wanted.groups]
        rules = [_apart(seen, name, vm) for name in wanted.apart]
        if wanted.host_group:
            rules += _on_hosts(seen, wanted.host_group)
        spec = vim.cluster.ConfigSpecEx(groupSpec=groups, rulesSpec=rules)
        if wanted.stays:
            info = vim.cluster.DrsVmConfigInfo(key=vm, enabled=False)
            spec.drsVmConfigSpec = [vim.cluster.DrsVmConfigSpec(operation="add", info=info)]
        return spec

    _changed(site, cluster, change)


def leave(site: Site, vm: Reference, options: Sequence[Any]) -> None:
    """What it joined; groups and rules that nobody is in any more go."""
    text = next((option.value for option in options if option.key == OPTION), None)
    if not text:
        return
    joined = from_json(text, Joined)

    def change(seen: Mapping[str, Any]) -> Any:
        # A rule that names a group has to go before the group.
        groups = [spec for name in joined.groups for spec in _without(seen, name, vm)]
        rules = [spec for name in joined.apart for spec in _together(seen, name, vm)]
        gone = {spec.removeKey for spec in groups if spec.operation == "remove"}
        rules += [_rule_removed(rule) for rule in seen.get(_PATHS[1], ()) if getattr(rule, "vmGroupName", None) in gone]
        return vim.cluster.ConfigSpecEx(groupSpec=groups, rulesSpec=rules) if groups or rules else None

    try:
        _changed(site, site.client.reference("ClusterComputeResource", joined.cluster), change)
    except Refused as error:
        if error.fault != "ManagedObjectNotFound":
            raise
        _log.info("the cluster %s is gone, and its groups and rules with it", joined.cluster)


def _changed(site: Site, cluster: Reference, change: Callable[[Mapping[str, Any]], Any]) -> None:
    with mutex.held(site.client, _GROUP_LOCK):
        seen = site.client.read([cluster], {vim.ClusterComputeResource: _PATHS})[cluster]
        spec = change(seen)
        if spec is not None:
            # What was read gets old: another process takes the lock from one that has kept it for long.
            task = site.client.call(cluster, "ReconfigureComputeResource_Task", hurried=True, spec=spec, modify=True)
            site.client.finished(task, "changing DRS rules and groups")


def _group(seen: Mapping[str, Any], name: str) -> Any:
    return next((group for group in seen.get(_PATHS[0], ()) if group.name == name), None)


def _rule(seen: Mapping[str, Any], name: str) -> Any:
    return next((rule for rule in seen.get(_PATHS[1], ()) if rule.name == name), None)


def _with(seen: Mapping[str, Any], name: str, vm: Reference) -> Any:
    group = _group(seen, name)
    vms = [*(group.vm if group else ()), vm]
    return vim.cluster.GroupSpec(operation="edit" if group else "add", info=vim.cluster.VmGroup(name=name, vm=vms))


def _without(seen: Mapping[str, Any], name: str, vm: Reference) -> list[Any]:
    group = _group(seen, name)
    if group is None:
        return []
    vms = [other for other in group.vm if other != vm]
    info = vim.cluster.VmGroup(name=name, vm=vms)
    return [vim.cluster.GroupSpec(operation="edit", info=info) if vms else _group_removed(name, info)]


def _group_removed(name: str, info: Any) -> Any:
    return vim.cluster.GroupSpec(operation="remove", removeKey=name, info=info)


def _apart(seen: Mapping[str, Any], name: str, vm: Reference) -> Any:
    rule = _rule(seen, name)
    if rule is None:
        info = vim.cluster.AntiAffinityRuleSpec(name=name, enabled=True, vm=[vm])
        return vim.cluster.RuleSpec(operation="add", info=info)
    rule.vm = [*rule.vm, vm]
    return vim.cluster.RuleSpec(operation="edit", info=rule)


def _together(seen: Mapping[str, Any], name: str, vm: Reference) -> list[Any]:
    rule = _rule(seen, name)
    if rule is None:
        return []
    vms = [other for other in rule.vm if other != vm]
    if not vms:
        return [_rule_removed(rule)]
    rule.vm = vms
    return [vim.cluster.RuleSpec(operation="edit", info=rule)]


def _rule_removed(rule: Any) -> Any:
    return vim.cluster.RuleSpec(operation="remove", removeKey=rule.key, info=rule)


def _on_hosts(seen: Mapping[str, Any], hosts: HostGroup) -> list[Any]:
    name = f"{group_on(hosts)}: {hosts.drs_rule}"
    if _rule(seen, name) is not None:
        return []
    info = vim.cluster.VmHostRuleInfo(
        name=name, enabled=True, mandatory=hosts.is_must, vmGroupName=group_on(hosts), affineHostGroupName=hosts.name
    )
    return [vim.cluster.RuleSpec(operation="add", info=info)]
