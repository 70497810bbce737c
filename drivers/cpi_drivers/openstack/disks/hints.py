"""By which name a guest finds a disk. Pure.

Where Nova calls it /dev/vdX, the disk is on virtio-blk and shows the first twenty characters of its id as its serial number: an
identity, which no reboot moves. Elsewhere there is nothing but the letter, which the official CPIs give too.
"""

import string
from collections.abc import Iterable
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import DiskCid
from cpi.contract.model import DiskHint
from cpi_drivers.openstack.api.states import Document

_SERIAL_LENGTH: Final = 20


def hint(disk_cid: DiskCid, device: str) -> DiskHint:
    """The hint for a disk that Nova calls device."""
    if device.startswith("/dev/vd"):
        return DiskHint(device=f"/dev/disk/by-id/virtio-{disk_cid[:_SERIAL_LENGTH]}")
    return DiskHint(device=f"/dev/sd{device.rstrip(string.digits)[-1]}")


def first_free_letter(server: Document, attachments: Iterable[Document], config_drive: str | None) -> str:
    """The device, where Nova names none: from b on, past the flavour's own disks and the config drive's, and past those taken."""
    flavor: Any = server.get("flavor") or {}
    own = sum((bool(flavor.get("ephemeral")), bool(flavor.get("swap")), config_drive == "disk"))
    taken = {str(attachment.get("device") or "")[-1:] for attachment in attachments}
    for letter in string.ascii_lowercase[1 + own :]:
        if letter not in taken:
            return f"/dev/sd{letter}"
    raise errors.CloudError(f"the VM {server.get('id')} has no letter left for another disk")
