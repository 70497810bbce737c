"""By which name a guest finds a disk, and the agent's settings in a VM's metadata, kept true when disks come and go."""

import json
from collections.abc import Callable
from typing import Any, Final

from cpi.contract.encoding import to_json
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import DiskHint
from cpi_drivers.google.api import inventory
from cpi_drivers.google.api.account import Account

Item = dict[str, Any]

SETTINGS: Final = "bosh_settings"


def hint_of(disk_cid: DiskCid) -> DiskHint:
    """By the disk's identity in the guest: letters move."""
    return DiskHint(device=f"/dev/disk/by-id/google-{disk_cid}")


def with_disk(disk_cid: DiskCid) -> Callable[[Item], Item]:
    """The settings once a disk is attached."""
    device = hint_of(disk_cid).device
    return lambda persistent: {**persistent, str(disk_cid): {"id": str(disk_cid), "volume_id": str(disk_cid), "path": device}}


def without_disk(disk_cid: DiskCid) -> Callable[[Item], Item]:
    """The settings once a disk is detached."""
    return lambda persistent: {cid: hint for cid, hint in persistent.items() if cid != disk_cid}


def keep_true(account: Account, item: Item, change: Callable[[Item], Item]) -> None:
    """Change the persistent disks in a VM's settings; read again if somebody else was faster."""
    known: list[Item] = [item]

    def write() -> None:
        present = known.pop() if known else inventory.describe_living(account, VmCid(item["name"]))
        items = _changed(present, change)
        if items is not None:
            body = {"fingerprint": present["metadata"]["fingerprint"], "items": items}
            account.client.do("instances.setMetadata", body, **inventory.place(present))

    account.anew(write)


def _changed(item: Item, change: Callable[[Item], Item]) -> list[Item] | None:
    """All metadata with the change; None if it is true already, or if there are no settings to keep."""
    items: list[Item] = item["metadata"].get("items", [])
    settings = settings_in(items)
    if settings is None:
        return None
    disks = settings.get("disks") or {}
    persistent = change(disks.get("persistent") or {})
    if persistent == (disks.get("persistent") or {}):
        return None
    document = {**settings, "disks": {**disks, "persistent": persistent}}
    return [*(one for one in items if one["key"] != SETTINGS), {"key": SETTINGS, "value": to_json(document).decode()}]


def settings_in(items: list[Item]) -> Item | None:
    """The agent's settings among a VM's metadata."""
    for one in items:
        if one["key"] == SETTINGS:
            try:
                document = json.loads(one.get("value", ""))
            except ValueError:
                return None
            return document if isinstance(document, dict) else None
    return None
