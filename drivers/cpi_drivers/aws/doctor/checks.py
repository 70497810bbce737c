"""What `cpi doctor` looks at on AWS: identity, region, permissions, quotas, the networks of a VM type."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.model import CloudProperties
from cpi.contract.operator import Finding
from cpi.kit.settings import read_cloud_properties
from cpi_drivers.aws.api import errors, vm_types
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.doctor.permissions import examine_permissions
from cpi_drivers.aws.doctor.policy import least_policy
from cpi_drivers.aws.networks.security_groups import group_ids
from cpi_drivers.aws.properties import NetworkProperties, VmProperties
from cpi_drivers.aws.vms import balancing, placement

_QUOTAS: Final = ("max-instances", "vpc-max-elastic-ips", "vpc-max-security-groups-per-interface")


def examine(account: Account) -> Iterable[Finding]:
    """One finding after the other; nothing is made."""
    try:
        caller = account.client.call("GetCallerIdentity")["Arn"]
        yield Finding("identity", "good", caller)
        yield _region(account)
    except contract_errors.Error as error:
        yield Finding("identity and region", "fault", error.message)
        return
    yield from examine_permissions(account, caller)
    yield _quotas(account)
    if account.settings.default_security_groups:
        yield _security_groups(account, account.settings.default_security_groups, None)
    yield Finding("least IAM policy", "good", json.dumps(least_policy(), indent=2))


def examine_vm_type(account: Account, vm_type: CloudProperties, networks: Sequence[CloudProperties]) -> Iterable[Finding]:
    """What cloud_properties of a VM type and of its networks name; nothing is made."""
    strict = account.config.strict_properties
    try:
        properties = read_cloud_properties(VmProperties, vm_type, strict=strict)
        named = [read_cloud_properties(NetworkProperties, one, "networks", strict=strict) for one in networks]
    except contract_errors.CpiError as error:
        yield Finding("VM type", "fault", error.message)
        return
    yield from _vm_types(account, properties)
    subnets = [network.subnet for network in named if network.subnet]
    for subnet in subnets:
        yield _subnet(account, subnet)
    yield _zones(account, properties, subnets)
    for network in named or [NetworkProperties()]:
        yield _security_groups(account, properties.security_groups or network.security_groups, network.subnet)
    if properties.lb_target_groups:
        yield _looked("lb_target_groups", lambda: ", ".join(balancing.target_groups(account, properties.lb_target_groups)))


def _looked(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, "good", look())
    except contract_errors.Error as error:
        return Finding(subject, "fault", error.message)


def _vm_types(account: Account, properties: VmProperties) -> Iterable[Finding]:
    if not properties.vm_types:
        yield Finding("VM type", "fault", "names no instance_type, and no instance_types")
    for name in properties.vm_types:

        def offered(name: str = name) -> str:
            item = account.client.call("DescribeInstanceTypes", InstanceTypes=[name])["InstanceTypes"][0]
            kind = vm_types.from_answer(item)
            return f"{kind.cpus} CPUs, {kind.ram} MiB of memory, disks appear as {'NVMe' if kind.nvme else 'Xen'} devices"

        yield _looked(f"instance type {name}", offered)


def _subnet(account: Account, subnet: str) -> Finding:
    def told() -> str:
        found = account.facts.subnet(subnet)
        return f"in {found.zone}, network {found.vpc}"

    return _looked(f"subnet {subnet}", told)


def _zones(account: Account, properties: VmProperties, subnets: Sequence[str]) -> Finding:
    def agreed() -> str:
        zones = placement.zones_to_try(account, properties, list(dict.fromkeys(subnets)), ())
        return ", ".join(zone for zone in zones if zone) or "where the subnet is"

    return _looked("availability zone", agreed)


def _region(account: Account) -> Finding:
    zones = [item["ZoneName"] for item in account.client.call("DescribeAvailabilityZones")["AvailabilityZones"]]
    verdict: Any = "good" if zones else "fault"
    return Finding(f"region {account.settings.signing_region}", verdict, f"zones {', '.join(zones) or 'none'}")


def _quotas(account: Account) -> Finding:
    try:
        attributes = account.client.call("DescribeAccountAttributes")["AccountAttributes"]
    except errors.Refused as error:
        return Finding("quotas", "warning", error.message)
    told = {item["AttributeName"]: [value["AttributeValue"] for value in item["AttributeValues"]] for item in attributes}
    figures = [f"{name} {', '.join(told[name])}" for name in _QUOTAS if name in told]
    return Finding("quotas", "good", "; ".join(figures) or "EC2 tells none; see Service Quotas")


def _security_groups(account: Account, wanted: Sequence[str], subnet: str | None) -> Finding:
    def found() -> str:
        ids = group_ids(account, wanted, subnet)
        if ids:
            account.client.call("DescribeSecurityGroups", GroupIds=ids)
        return ", ".join(ids) or "none named: the network's default group"

    return _looked(f"security groups of {subnet}" if subnet else "security groups", found)
