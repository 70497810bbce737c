"""Independent disks by themselves: made, found, deleted, described."""

from typing import Final

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CallContext, CloudProperties, Metadata
from cpi.contract.units import MiB, bytes_from_mib
from cpi.kit import failures, private_files
from cpi.kit.failures import AnswerLost
from cpi.kit.settings import DISK_KEYS, read_cloud_properties
from cpi.kit.undo import Undo
from cpi.kit.waiting import late
from cpi_drivers.vcloud import naming, tags
from cpi_drivers.vcloud.api import documents
from cpi_drivers.vcloud.api.client import Client
from cpi_drivers.vcloud.api.documents import Element, make
from cpi_drivers.vcloud.api.errors import Missing, NoCapacity, QuotaReached, Refused
from cpi_drivers.vcloud.api.inventory import Inventory
from cpi_drivers.vcloud.properties import BUSES, DiskProperties
from cpi_drivers.vcloud.settings import VcloudSettings

DISK: Final = "vcloud.disk"
_SCSI: Final = "6"
_SIZES_IN_MIB_SINCE: Final = 33.0


class Disks:
    """Persistent disks of the vDC."""

    def __init__(
        self, client: Client, settings: VcloudSettings, inventory: Inventory, context: CallContext, *, strict: bool
    ) -> None:
        self._client = client
        self._entities = settings.entities
        self._inventory = inventory
        self._context = context
        self._strict = strict

    def create(self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None, token: str | None) -> DiskCid:
        """A disk, near a VM if one is named."""
        wanted = read_cloud_properties(DiskProperties, cloud_properties, strict=self._strict, ignored_keys=DISK_KEYS)
        name = naming.name_of("disk", token)
        with private_files.one_at_a_time(self._client.folder, "vcloud-call", token):
            href = self._found(name) if token else None
            if href is None:
                return self._made(name, size, wanted, vm_cid, token)
            self._tag(href, name, token)
            return _cid(href)

    def delete(self, disk_cid: DiskCid) -> None:
        """Gone when this returns; what was not there is gone."""
        path = naming.path_of(disk_cid, "disk")
        if path is None:
            return
        try:
            self._client.delete(path, f"delete_disk: disk {disk_cid}")
        except Refused as error:
            disk = self._inventory.entity(disk_cid, "disk")
            if disk is None:
                return
            holder = self._inventory.holder(disk)
            why = f"it is attached to the VM {holder.get('name')}: detach it" if holder is not None else error.message
            raise errors.CloudError(f"the disk {disk_cid} cannot be deleted: {why}") from error

    def has(self, disk_cid: DiskCid) -> bool:
        """False for what is gone."""
        return self._inventory.entity(disk_cid, "disk") is not None

    def set_metadata(self, disk_cid: DiskCid, entries: Metadata) -> None:
        """Added to what is there."""
        path = naming.path_of(disk_cid, "disk")
        if path is None:
            raise failures.no_such_disk(disk_cid)
        try:
            tags.add(self._client, path, naming.cut(entries), f"set_disk_metadata: disk {disk_cid}")
        except Missing:
            self._inventory.existing_disk(disk_cid)
            raise

    def metadata(self, disk_cid: DiskCid) -> dict[str, str]:
        """What is there."""
        return tags.of(self._client, str(self._inventory.existing_disk(disk_cid).get("href")))

    # ------------------------------------------------------------------

    def _made(self, name: str, size: MiB, wanted: DiskProperties, vm_cid: VmCid | None, token: str | None) -> DiskCid:
        near = self._inventory.existing_vm(vm_cid) if vm_cid else None
        profile = self._inventory.requested_profile(wanted.storage_profile, self._entities.disk_storage_profile)
        body = self._params(name, size, wanted, near, profile)
        with Undo() as undo:
            undo.push(f"disk {name}", lambda: self._delete_named(name))
            href = self._make(name, size, body)
            self._tag(href, name, token)
        return _cid(href)

    def _params(self, name: str, size: MiB, wanted: DiskProperties, near: Element | None, profile: Element | None) -> Element:
        disk = make(
            "Disk",
            make("Description", self._entities.description),
            name=name,
            busType=_SCSI,
            busSubType=BUSES[wanted.bus_type],
        )
        set_size(self._client, disk, size)
        if profile is not None:
            disk.append(documents.reference("StorageProfile", str(profile.get("href")), name=str(profile.get("name"))))
        where = str(near.get("href")) if near is not None else ""
        place = documents.reference("Locality", where, type="application/vnd.vmware.vcloud.vm+xml") if where else None
        return make("DiskCreateParams", disk, place)

    def _make(self, name: str, size: MiB, body: Element) -> str:
        what = f"create_disk: disk {name}"
        try:
            made = self._client.made(f"{self._inventory.vdc_href}/disk", body, "vcloud.diskCreateParams")
            self._client.finished(made, what)
        except AnswerLost:
            return self._settled(name, what)
        except (QuotaReached, NoCapacity) as error:
            retry = isinstance(error, NoCapacity)
            raise errors.NoDiskSpace(f"no disk of {size} MiB: {error.message}", ok_to_retry=retry) from error
        return str(made.get("href"))

    def _settled(self, name: str, what: str) -> str:
        """Where the disk is that a call without an answer made; AnswerLost once more if it made none."""
        href = late(lambda: self._found(name))
        if href is None:
            raise AnswerLost(f"{what}: no answer came, and there is no disk of that name")
        self._client.finished(self._client.get(href), what)
        return href

    def _found(self, name: str) -> str | None:
        record = self._inventory.disk_named(name)
        return record["href"] if record is not None else None

    def _delete_named(self, name: str) -> None:
        href = self._found(name)
        if href is not None:
            self.delete(_cid(href))

    def _tag(self, href: str, name: str, token: str | None) -> None:
        tags.add(self._client, href, naming.initial_tags(self._context, token), f"create_disk: metadata of the disk {name}")


def set_size(client: Client, disk: Element, size: MiB) -> None:
    """As the API takes it: in MiB, and of old in bytes."""
    if float(client.session.version) >= _SIZES_IN_MIB_SINCE:
        disk.set("sizeMb", str(size))
    else:
        disk.set("size", str(bytes_from_mib(size)))


def _cid(href: str) -> DiskCid:
    return DiskCid(naming.urn_of(href, "disk"))
