"""Load balancers: joined by a VM when it runs, left before it is deleted."""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from cpi.contract.ids import VmCid
from cpi_drivers.aws import tags
from cpi_drivers.aws.api import errors
from cpi_drivers.aws.api.account import Account

_log = logging.getLogger(__name__)

_NO_GROUP: Final = "TargetGroupNotFound"
_GONE: Final = frozenset({"LoadBalancerNotFound", _NO_GROUP, "InvalidInstance", "InvalidTarget"})


def target_groups(account: Account, names: Sequence[str]) -> list[str]:
    """ARNs of the groups. Raises CloudError naming what is missing."""
    if not names:
        return []
    try:
        found = account.client.call("DescribeTargetGroups", Names=list(names))["TargetGroups"]
    except errors.Refused as error:
        if error.code != _NO_GROUP:
            raise
        raise _no_group(names) from error
    by_name = {group["TargetGroupName"]: group["TargetGroupArn"] for group in found}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise _no_group(missing)
    return [by_name[name] for name in names]


def _no_group(names: Sequence[str]) -> errors.Refused:
    return errors.refusal("DescribeTargetGroups", _NO_GROUP, f"not there, or not all: {', '.join(names)}")


def join(account: Account, vm_cid: VmCid, elbs: Sequence[str], groups: Sequence[str]) -> None:
    """Register the VM; again changes nothing."""
    for name in elbs:
        account.client.call("RegisterInstancesWithLoadBalancer", LoadBalancerName=name, Instances=[{"InstanceId": str(vm_cid)}])
    for arn in groups:
        account.client.call("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": str(vm_cid)}])


def leave(account: Account, vm_cid: VmCid, vm_tags: Mapping[str, str]) -> None:
    """Deregister the VM from what its tags name, so that it gets no more requests; what is gone is left already.

    A refusal is logged and keeps no VM alive: balancers drop a VM that is gone when their health check fails, as they do one
    of the official CPI, which has no such tags.
    """
    for name in vm_tags.get(tags.BALANCERS, "").split():
        with _unless_refused(vm_cid, f"load balancer {name}"):
            account.client.call(
                "DeregisterInstancesFromLoadBalancer", LoadBalancerName=name, Instances=[{"InstanceId": str(vm_cid)}]
            )
    for name in vm_tags.get(tags.TARGET_GROUPS, "").split():
        with _unless_refused(vm_cid, f"target group {name}"):
            for arn in target_groups(account, [name]):
                account.client.call("DeregisterTargets", TargetGroupArn=arn, Targets=[{"Id": str(vm_cid)}])


@contextlib.contextmanager
def _unless_refused(vm_cid: VmCid, what: str) -> Iterator[None]:
    try:
        yield
    except errors.Refused as error:
        if error.code not in _GONE:
            _log.warning("the VM %s is deleted without leaving the %s first: %s", vm_cid, what, error.message)
