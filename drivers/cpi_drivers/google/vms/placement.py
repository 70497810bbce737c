"""Spread placement: a resource policy for each instance group that wants one, made with its first VM and gone with its last.

Google's policies cannot be changed, so that the number of domains is a part of the name.
"""

import logging
import re
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.kit.undo import Undo
from cpi_drivers.google import naming
from cpi_drivers.google.api import errors
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.properties import VmProperties

_log = logging.getLogger(__name__)

Item = dict[str, Any]

_PREFIX: Final = "multicpi-spread-"
_ABOUT_PLACEMENT: Final = re.compile(r"resource ?polic|placement|availability domain", re.IGNORECASE)
_ADVICE: Final = "Google spreads only some machine types, and only so many VMs; name another type, or leave the placement out"


def policy(account: Account, properties: VmProperties, group: str) -> str | None:
    """The name of the policy that the VM is placed by: the operator's, or the one of its instance group."""
    return properties.placement_policy or _of_group(account, properties, group)


def make(account: Account, properties: VmProperties, group: str, region: str, undo: Undo) -> bool:
    """Have the policy of the VM's instance group there; False if it is not ours to make. Another process may do so too."""
    name = _of_group(account, properties, group)
    if not name:
        return False
    body = {
        "name": name,
        "description": f"BOSH instance group {group}",
        "groupPlacementPolicy": {"availabilityDomainCount": properties.availability_domains},
    }
    undo.push(f"placement policy {name}", lambda: _remove(account, region, name))
    try:
        account.client.do("resourcePolicies.insert", body, region=region)
    except errors.Exists:
        account.wait(lambda: _is_settled(account, region, name), f"the placement policy {name}", account.patience.in_use)
    return True


def leave(account: Account, item: Item) -> None:
    """The last VM takes the policy of its instance group along. One that cannot go stays, which the log tells."""
    for name in map(naming.last, item.get("resourcePolicies", [])):
        if name.startswith(_PREFIX):
            try:
                _remove(account, naming.region_of(naming.last(item["zone"])), name)
            except contract_errors.CloudError as error:
                _log.warning("the placement policy %s stays: %s", name, error.message)


def explained(properties: VmProperties, error: contract_errors.CloudError) -> str:
    """What Google says, and what to do if it is about the VM's placement."""
    placed = properties.placement_policy or properties.availability_domains
    return f"{error.message}; {_ADVICE}" if placed and _ABOUT_PLACEMENT.search(error.message) else error.message


def _of_group(account: Account, properties: VmProperties, group: str) -> str | None:
    domains = properties.availability_domains
    if domains is None or not group:
        return None
    return f"{_PREFIX}{naming.digest(f'{account.config.context.director_uuid}/{group}')}-{domains}"


def _is_settled(account: Account, region: str, name: str) -> bool:
    """Ready, or gone again."""
    try:
        found = account.client.call("resourcePolicies.get", region=region, resourcePolicy=name)
    except errors.Missing:
        return True
    return found["status"] not in ("CREATING", "DELETING")


def _remove(account: Account, region: str, name: str) -> None:
    """As long as other VMs use it, Google refuses."""
    try:
        account.do("resourcePolicies.delete", region=region, resourcePolicy=name)
    except (errors.InUse, errors.Missing):
        return
