"""Disks that change: larger, or of another type, in place, attached or not."""

from collections.abc import Callable
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CloudProperties
from cpi.contract.units import MiB, gib_from_mib
from cpi.kit import failures
from cpi.kit.failures import AnswerLost
from cpi.kit.settings import DISK_KEYS, read_cloud_properties
from cpi_drivers.openstack.api.client import Client, segment
from cpi_drivers.openstack.api.errors import Refused
from cpi_drivers.openstack.api.servers import Servers
from cpi_drivers.openstack.api.states import Document, Waits, failed
from cpi_drivers.openstack.api.volumes import AVAILABLE, IN_USE, Volumes, holder_words, holders
from cpi_drivers.openstack.properties import DiskProperties
from cpi_drivers.openstack.settings import OpenStackSettings

_GROWS_IN_USE: Final = "3.42"
_FROM: Final = f" (Cinder can from API {_GROWS_IN_USE} on, if the storage driver can)"


class DiskChanges:
    """What Cinder can do to a volume without losing its data."""

    def __init__(
        self, client: Client, settings: OpenStackSettings, waits: Waits, volumes: Volumes, servers: Servers, *, strict: bool
    ) -> None:
        self._client = client
        self._settings = settings
        self._waits = waits
        self._volumes = volumes
        self._servers = servers
        self._strict = strict

    def resize(self, disk_cid: DiskCid, size: MiB) -> None:
        """Grown when this returns."""
        volume = self._volumes.settled(disk_cid, "resize_disk")
        if not self._settings.online_resize or volume["status"] != IN_USE:
            volume = self._volumes.free(volume, "resize it")
        self._grow(volume, _growth(volume, size))

    def update(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        """Of the wished size and type when this returns; the same disk."""
        wish = read_cloud_properties(DiskProperties, cloud_properties, strict=self._strict, ignored_keys=DISK_KEYS)
        volume = self._volumes.settled(disk_cid, "update_disk")
        volume = self._volumes.free(volume, "update it")
        gib = _growth(volume, size)
        wished = wish.type or self._settings.default_volume_type
        if wished and wished != volume.get("volume_type"):
            self._retype(volume, self._known_type(wished, volume))
        self._grow(volume, gib)
        return disk_cid

    def grow_attached(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
        """Grown when this returns; the VM uses it all the while."""
        volume = self._volumes.settled(disk_cid, "grow_attached_disk")
        self._check_holder(volume, vm_cid)
        self._grow(volume, _growth(volume, size))

    def change_attached(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> None:
        """Of the wished size and type when this returns; the VM uses it all the while."""
        wish = read_cloud_properties(DiskProperties, cloud_properties, strict=self._strict, ignored_keys=DISK_KEYS)
        volume = self._volumes.settled(disk_cid, "change_attached_disk")
        self._check_holder(volume, vm_cid)
        gib = _growth(volume, size)
        if wish.type and wish.type != volume.get("volume_type"):
            self._retype(volume, self._known_type(wish.type, volume))
        self._grow(volume, gib)

    def _check_holder(self, volume: Document, vm_cid: VmCid) -> None:
        """The VM has it, alone: on a filesystem that grows, another VM would write over what it does not know of."""
        if vm_cid not in holders(volume):
            self._servers.existing(vm_cid)
            raise failures.not_attached(volume["id"], vm_cid)
        if len(volume["attachments"]) > 1:
            raise errors.NotSupported(
                f"the disk {volume['id']} is shared: it is attached to {holder_words(volume)}; detach it from the others first"
            )

    def _grow(self, volume: Document, gib: int) -> None:
        if gib == volume["size"]:
            return
        microversion = _GROWS_IN_USE if volume["status"] == IN_USE else None
        self._act(volume, {"os-extend": {"new_size": gib}}, microversion, lambda now: bool(now["size"] >= gib))

    def _retype(self, volume: Document, kind: str) -> None:
        if kind == volume.get("volume_type"):
            return
        wish = {"new_type": kind, "migration_policy": self._settings.retype_migration_policy}
        self._act(volume, {"os-retype": wish}, None, lambda now: now.get("volume_type") == kind)

    def _known_type(self, wished: str, volume: Document) -> str:
        """The name of a type that was given by its name or its id."""
        types = {found["name"]: found["id"] for found in self._client.pages("volume", "/types", "volume_types")}
        for name, cid in types.items():
            if wished in {name, cid}:
                return str(name)
        raise errors.NotSupported(
            f"the disk {volume['id']} cannot become of type {wished!r}: there is none; known: {', '.join(sorted(types))}"
        )

    def _act(self, volume: Document, action: dict[str, Any], microversion: str | None, done: Callable[[Document], bool]) -> None:
        cid, name = volume["id"], next(iter(action))
        try:
            self._client.post("volume", f"/volumes/{segment(cid)}/action", action, microversion=microversion)
        except AnswerLost:
            if not done(self._volumes.settled(DiskCid(cid), name)):
                raise
        except Refused as error:
            if error.is_quota:
                raise errors.NoDiskSpace(f"{name}: disk {cid}: the project's quota: {error.said}") from error
            in_use = f" while it is in use{_FROM}" if microversion else ""
            raise errors.NotSupported(f"{name}: the cloud cannot do this to disk {cid}{in_use}: {error.said}") from error
        now = self._volumes.reached(cid, volume["status"], name)
        if not done(now):
            raise errors.NotSupported(f"{name}: the cloud accepted the change of disk {cid} and left the disk as it was")


def _growth(volume: Document, size: MiB) -> int:
    gib = max(1, gib_from_mib(size))
    if gib < volume["size"]:
        raise failures.cannot_shrink(volume["id"], volume["size"], gib, unit="GiB")
    if volume["status"] not in {AVAILABLE, IN_USE}:
        raise failed(f"disk {volume['id']}", volume)
    return gib
