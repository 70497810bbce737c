"""VMs that exist: found, rebooted, labelled, deleted."""

import logging
from typing import Any, Final

from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import Metadata
from drivers.google import balancing, errors, labelling, labels, naming, placement
from drivers.google.account import Account

_log = logging.getLogger(__name__)

Item = dict[str, Any]

_LEAVING: Final = frozenset({"STOPPING", "DEPROVISIONING", "PENDING_STOP"})
_OFF: Final = frozenset({"TERMINATED", "STOPPED"})


def everywhere(account: Account, kind: str, wanted: str) -> list[Item]:
    """What a filter finds in all zones or regions. Raises CloudError if one of them could not be asked."""
    found: list[Item] = []
    for page in account.client.pages(f"{kind}.aggregatedList", filter=wanted):
        for place, told in page.get("items", {}).items():
            warning = told.get("warning", {})
            if warning.get("code") not in (None, "NO_RESULTS_ON_PAGE"):
                raise errors.Unclear(
                    f"Google can not tell of {kind} in {place} now ({warning['code']}): {warning.get('message')}"
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
    if item["status"] in _LEAVING and _is_being_deleted(account, item):
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


def reboot(account: Account, vm_cid: VmCid) -> None:
    """The hard way; a VM that is off is started."""

    def started_anew() -> None:
        item = describe_living(account, vm_cid)
        if item["status"] in _LEAVING:
            item = account.wait(lambda: _off(account, vm_cid), f"the VM {vm_cid} does not stop", account.patience.vm_running)
        account.client.do("instances.start" if item["status"] in _OFF else "instances.reset", **place(item))

    account.anew(started_anew)


def set_metadata(account: Account, vm_cid: VmCid, metadata: Metadata) -> None:
    """Labels, added to those that are there."""

    def change() -> None:
        item = describe_living(account, vm_cid)
        wanted = labels.added(metadata, item.get("labels", {}))
        if wanted != item.get("labels", {}):
            body = {"labels": wanted, "labelFingerprint": item["labelFingerprint"]}
            account.client.do("instances.setLabels", body, **place(item))

    labelling.changed(account, "instances", lambda: account.anew(change))


def persistent_disks(item: Item) -> list[DiskCid]:
    """What was attached and stays when the VM goes."""
    own = [one for one in item.get("disks", []) if one.get("boot") or one.get("autoDelete") or one.get("type") == "SCRATCH"]
    return [DiskCid(naming.last(one["source"])) for one in item.get("disks", []) if one not in own]


def delete(account: Account, vm_cid: VmCid) -> None:
    """Take it out of its load balancers, delete it and wait until it is gone. One that is gone is success.

    The placement policy of its instance group goes with the last of its VMs.
    """
    try:
        item = describe(account, vm_cid)
    except errors.VmMissing:
        return
    balancing.leave(account, item)
    remove(account, naming.last(item["zone"]), str(vm_cid), wait=account.waits_for_deletion)
    placement.leave(account, item)


def remove(account: Account, zone: str, name: str, *, wait: bool = True) -> None:
    """Its own disks go with it, its persistent disks are detached, its addresses are free."""
    begin = account.client.do if wait else account.client.call
    try:
        account.anew(lambda: begin("instances.delete", zone=zone, instance=name))
    except errors.VmMissing:
        return


def _off(account: Account, vm_cid: VmCid) -> Item | None:
    item = describe_living(account, vm_cid)
    return item if item["status"] not in _LEAVING else None


def _is_being_deleted(account: Account, item: Item) -> bool:
    """A VM that stops and one that is deleted look alike. Where operations may not be listed, it is taken for one that stops."""
    wanted = f'targetLink = "{item["selfLink"]}"'
    try:
        for page in account.client.pages("zoneOperations.list", zone=naming.last(item["zone"]), filter=wanted):
            if any(one["operationType"] == "delete" and one["status"] != "DONE" for one in page.get("items", [])):
                return True
    except errors.Denied as error:
        _log.warning("whether the VM %s is being deleted can not be told from its stopping: %s", item["name"], error.message)
    return False
