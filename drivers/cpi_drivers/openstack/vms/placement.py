"""Which availability zones a VM may be tried in. Pure, but for the dice."""

import random
from collections.abc import Iterable, Mapping

from cpi.contract import errors
from cpi_drivers.openstack.properties import VmProperties


def zones(wish: VmProperties, disk_zones: Mapping[str, str], *, ignore_server_zone: bool) -> list[str | None]:
    """In the order of trying; None leaves the choice to Nova. disk_zones: the zones of the VM's disks, by their CIDs.

    Raises CloudError that explains a contradiction.
    """
    if wish.availability_zones:
        if not ignore_server_zone:
            raise errors.CloudError(
                "availability_zones needs ignore_server_availability_zone: true; without it a VM's disks are bound to its zone"
            )
        return list(random.sample(wish.availability_zones, len(wish.availability_zones)))
    wished = [] if ignore_server_zone else [(f"the disk {cid}", zone) for cid, zone in disk_zones.items()]
    if wish.availability_zone:
        wished.append(("availability_zone", wish.availability_zone))
    return [_agreed(wished)]


def _agreed(wished: Iterable[tuple[str, str]]) -> str | None:
    found = list(wished)
    if len({zone for _, zone in found}) > 1:
        said = ", ".join(f"{who} says {zone}" for who, zone in found)
        raise errors.CloudError(
            f"the VM cannot lie in several availability zones: {said} (or set ignore_server_availability_zone)"
        )
    return found[0][1] if found else None
