"""By which name a guest finds a disk. Pure.

The device id gives a letter; on KVM the disk also shows the first twenty characters of its id, without dashes, as its serial
number: an identity, which no reboot moves.
"""

import string
from typing import Final

from cpi.contract.model import DiskHint
from cpi_drivers.cloudstack.api.client import Document

_PREFIXES: Final = {"kvm": "/dev/vd", "vmware": "/dev/sd", "hyperv": "/dev/sd"}
_SERIAL_LENGTH: Final = 20


def device(hypervisor: str, number: int) -> str:
    """The device of a disk by its device id."""
    return _PREFIXES.get(hypervisor.lower(), "/dev/xvd") + string.ascii_lowercase[number]


def hint(volume: Document, hypervisor: str) -> DiskHint:
    """For an attached disk."""
    number = int(volume["deviceid"])
    serial = str(volume["id"]).replace("-", "")[:_SERIAL_LENGTH]
    if hypervisor.lower() == "kvm":
        return DiskHint(path=f"/dev/disk/by-id/virtio-{serial}", id=serial, volume_id=str(number))
    return DiskHint(path=device(hypervisor, number), id=serial, volume_id=str(number))
