"""VMs that exist, and what Google lists in all zones."""

import logging
from typing import Any, Final

from cpi.contract.ids import VmCid
from cpi_drivers.google import naming
from cpi_drivers.google.api import errors
from cpi_drivers.google.api.account import Account

_log = logging.getLogger(__name__)

Item = dict[str, Any]

LEAVING: Final = frozenset({"STOPPING", "DEPROVISIONING", "PENDING_STOP"})


def everywhere(account: Account, kind: str, wanted: str) -> list[Item]:
    """What a filter finds in all zones or regions. Raises CloudError if one of them could not be asked."""
    found: list[Item] = []
    for page in account.client.pages(f"{kind}.aggregatedList", filter=wanted):
        for place, told in page.get("items", {}).items():
            warning = told.get("warning", {})
            if warning.get("code") not in (None, "NO_RESULTS_ON_PAGE"):
                raise errors.AnswerLost(
                    f"Google cannot tell of {kind} in {place} now ({warning['code']}): {warning.get('message')}"
                )
            found += told.get(kind, [])
    return found


def describe(account: Account, vm_cid: VmCid) -> Item:
    """The VM, on its way out or not. Raises VMNotFound."""
    found = everywhere(account, "instances", f'name = "{vm_cid}"') if naming.is_name(vm_cid) else []
    if not found:
        raise errors.VmMissing(f"there is no VM {vm_cid}")
    return found[0]


def describe_living(account: Account, vm_cid: VmCid) -> Item:
    """The VM. Raises VMNotFound if it is gone or going."""
    item = describe(account, vm_cid)
    if item["status"] in LEAVING and _is_being_deleted(account, item):
        raise errors.VmMissing(f"the VM {vm_cid} is being deleted")
    return item


def place(item: Item) -> Item:
    """Zone and name, as calls take them."""
    return {"zone": naming.last(item["zone"]), "instance": item["name"]}


def is_alive(account: Account, vm_cid: VmCid) -> bool:
    """Whether it exists and is not going."""
    try:
        describe_living(account, vm_cid)
    except errors.VmMissing:
        return False
    return True


def _is_being_deleted(account: Account, item: Item) -> bool:
    """A VM that stops and one that is deleted look alike. Where operations may not be listed, it is taken for one that stops."""
    wanted = f'targetLink = "{item["selfLink"]}"'
    try:
        for page in account.client.pages("zoneOperations.list", zone=naming.last(item["zone"]), filter=wanted):
            if any(one["operationType"] == "delete" and one["status"] != "DONE" for one in page.get("items", [])):
                return True
    except errors.Denied as error:
        _log.warning("cannot tell whether the VM %s is being deleted or only stops: %s", item["name"], error.message)
    return False
