"""The VM's metadata: the agent's whole settings, kept true when disks come and go.

`bosh_settings` and `user_data` are those of the official CPI, which reads what this one wrote, and the other way round.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.encoding import to_json
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import DiskHint
from drivers.google import errors, vms
from drivers.google.account import Account

Item = dict[str, Any]

SETTINGS: Final = "bosh_settings"
USER_DATA: Final = "user_data"
LARGEST: Final = 256 * 1024


def hint_of(disk_cid: DiskCid) -> DiskHint:
    """By the disk's identity in the guest: letters move."""
    return DiskHint(device=f"/dev/disk/by-id/google-{disk_cid}")


def at_birth(settings: Mapping[str, Any], name: str, nameservers: list[str]) -> list[Item]:
    """The metadata of a VM that is to be made. Raises CpiError if Google would not take it."""
    document = to_json(settings)
    if len(document) > LARGEST:
        raise contract_errors.CpiError(
            f"the VM's settings are {len(document)} bytes and Google takes {LARGEST}: shorten env (bosh.tags, certificates)"
        )
    user_data = {"server": {"name": name}, **({"dns": {"nameserver": nameservers}} if nameservers else {})}
    return [{"key": SETTINGS, "value": document.decode()}, {"key": USER_DATA, "value": to_json(user_data).decode()}]


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
        present = known.pop() if known else vms.describe_living(account, VmCid(item["name"]))
        items = _changed(present, change)
        if items is not None:
            body = {"fingerprint": present["metadata"]["fingerprint"], "items": items}
            account.client.do("instances.setMetadata", body, **vms.place(present))

    account.anew(write)


def _changed(item: Item, change: Callable[[Item], Item]) -> list[Item] | None:
    """All metadata with the change; None if it is true already, or if there are no settings to keep."""
    items: list[Item] = item["metadata"].get("items", [])
    settings = _settings(items)
    if settings is None:
        return None
    disks = settings.get("disks") or {}
    persistent = change(disks.get("persistent") or {})
    if persistent == (disks.get("persistent") or {}):
        return None
    document = {**settings, "disks": {**disks, "persistent": persistent}}
    return [*(one for one in items if one["key"] != SETTINGS), {"key": SETTINGS, "value": to_json(document).decode()}]


def of_vm(account: Account, vm_cid: VmCid) -> Mapping[str, Any]:
    """What a VM was given. Raises VMNotFound."""
    settings = _settings(vms.describe_living(account, vm_cid)["metadata"].get("items", []))
    if settings is None:
        raise errors.Refusal(f"the metadata of {vm_cid} hold no agent settings")
    return settings


def _settings(items: list[Item]) -> Item | None:
    for one in items:
        if one["key"] == SETTINGS:
            try:
                document = json.loads(one.get("value", ""))
            except ValueError:
                return None
            return document if isinstance(document, dict) else None
    return None
