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
    """Change the persistent disks in a VM's settings."""
    change_metadata(account, item, lambda items: _changed(items, change))


def change_metadata(account: Account, item: Item, changed: Callable[[list[Item]], list[Item]]) -> None:
    """Change a VM's metadata, unless they are so already; read again if somebody else was faster."""
    known: list[Item] = [item]

    def write() -> None:
        present = known.pop() if known else inventory.describe_living(account, VmCid(item["name"]))
        items = present["metadata"].get("items", [])
        wanted = changed(items)
        if wanted != items:
            body = {"fingerprint": present["metadata"]["fingerprint"], "items": wanted}
            account.client.do("instances.setMetadata", body, **inventory.place(present))

    account.anew(write)


def _changed(items: list[Item], change: Callable[[Item], Item]) -> list[Item]:
    """All metadata with the change; as they are if it is true already, or if there are no settings to keep."""
    settings = settings_in(items)
    if settings is None:
        return items
    disks = settings.get("disks") or {}
    persistent = change(disks.get("persistent") or {})
    if persistent == (disks.get("persistent") or {}):
        return items
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
