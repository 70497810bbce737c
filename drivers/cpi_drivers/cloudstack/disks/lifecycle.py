"""Disks by themselves: made, found, deleted, described."""

from typing import Any

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CallContext, CloudProperties, Metadata
from cpi.contract.units import MiB
from cpi.kit import private_files
from cpi.kit.failures import AnswerLost
from cpi.kit.settings import DISK_KEYS, read_cloud_properties
from cpi.kit.undo import Undo
from cpi.kit.waiting import late
from cpi_drivers.cloudstack import naming, tags
from cpi_drivers.cloudstack.api.client import Client, Document
from cpi_drivers.cloudstack.api.errors import NoCapacity, QuotaReached, Refused
from cpi_drivers.cloudstack.api.inventory import Inventory
from cpi_drivers.cloudstack.api.offerings import Offerings
from cpi_drivers.cloudstack.properties import DiskProperties
from cpi_drivers.cloudstack.settings import CloudStackSettings


class Disks:
    """Persistent disks: volumes of the type DATADISK."""

    def __init__(
        self, client: Client, settings: CloudStackSettings, inventory: Inventory, offerings: Offerings, *, strict: bool
    ) -> None:
        self._client = client
        self._settings = settings
        self._inventory = inventory
        self._offerings = offerings
        self._strict = strict

    def create(
        self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None, token: str | None, context: CallContext
    ) -> DiskCid:
        """A disk; CloudStack gives it storage when it is attached first."""
        wanted = read_cloud_properties(DiskProperties, cloud_properties, strict=self._strict, ignored_keys=DISK_KEYS)
        name = naming.name_of("disk", token)
        with private_files.one_at_a_time(self._client.folder, "cloudstack-call", token):
            found = self._inventory.disk(name) if token else None
            if found is not None:
                tags.add(self._client, "Volume", found, naming.initial_tags(context, token))
                return DiskCid(name)
            zone_id = self._zone_id(wanted, vm_cid)
            body = {"name": name, "zoneid": zone_id, **self._offerings.persistent(wanted.disk_offering, size)}
            with Undo() as undo:
                undo.push(f"disk {name}", lambda: self.delete(DiskCid(name)))
                volume = self._make(body)
                tags.add(self._client, "Volume", volume, naming.initial_tags(context, token))
        return DiskCid(name)

    def delete(self, disk_cid: DiskCid) -> None:
        """Gone when this returns; what was not there is gone."""
        volume = self._inventory.disk_unless_gone(disk_cid)
        if volume is None:
            return
        if volume.get("virtualmachineid"):
            raise errors.CloudError(f"the disk {disk_cid} is attached to the VM {volume.get('vmname')}: detach it to delete it")
        try:
            self._client.call("deleteVolume", idempotent=True, id=volume["id"])
        except Refused as error:
            if self._inventory.disk(disk_cid) is not None:
                raise errors.CloudError(f"the disk {disk_cid} cannot be deleted: {error.said}") from error

    def has(self, disk_cid: DiskCid) -> bool:
        """False for what is gone or going."""
        return self._inventory.disk_unless_gone(disk_cid) is not None

    def set_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        """Added to what is there."""
        tags.add(self._client, "Volume", self._inventory.existing_disk(disk_cid), metadata)

    def metadata(self, disk_cid: DiskCid) -> dict[str, str]:
        """What is there."""
        return tags.of(self._inventory.existing_disk(disk_cid))

    def _zone_id(self, wanted: DiskProperties, vm_cid: VmCid | None) -> str:
        if vm_cid:
            return str(self._inventory.existing_vm(vm_cid)["zoneid"])
        return self._inventory.zone_id(wanted.zone or self._settings.default_zone)

    def _make(self, body: dict[str, Any]) -> Document:
        name = str(body["name"])
        try:
            what = f"create_disk: disk {name}"
            volume: Document = self._client.run("createVolume", what, "create_volume", **body, **self._inventory.scope)["volume"]
        except AnswerLost:
            if late(lambda: self._inventory.disk(name)) is None:
                raise
            return self._settled(name)
        except QuotaReached as error:
            raise errors.NoDiskSpace(f"no disk of {body.get('size', 'this')} GiB: the account's limit: {error.said}") from error
        except NoCapacity as error:
            raise errors.NoDiskSpace(f"no disk: the cloud has no room: {error.said}", ok_to_retry=True) from error
        return volume

    def _settled(self, name: str) -> Document:
        def look() -> Document | None:
            volume = self._inventory.disk(name)
            if volume is None:
                raise errors.CloudError(f"create_disk: the disk {name} is gone")
            return None if volume["state"] == "Creating" else volume

        return self._client.until(f"create_disk: disk {name}", "create_volume", look)
