"""Looking at things: by id or by name, never by going through everything."""

from pathlib import Path

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.kit import failures, private_files, remembering
from cpi_drivers.vcloud import naming
from cpi_drivers.vcloud.api import documents
from cpi_drivers.vcloud.api.client import Client, Record, equal
from cpi_drivers.vcloud.api.documents import Element
from cpi_drivers.vcloud.api.errors import Missing
from cpi_drivers.vcloud.settings import ANY, VcloudSettings

_QUERIES = {"vm": "vm", "disk": "disk", "catalogitem": "catalogItem"}


class Remembered(remembering.Remembered):
    """Those of one organisation at one address, as one user sees it."""

    def __init__(self, folder: Path, settings: VcloudSettings) -> None:
        whose = (settings.root, settings.entities.organization, settings.user)
        super().__init__(private_files.named(folder, "vcloud-ids", *whose))


class Inventory:
    """What the organisation and its vDC have."""

    def __init__(self, client: Client, settings: VcloudSettings) -> None:
        self._client = client
        self._settings = settings
        self._remembered = Remembered(client.folder, settings)

    # ------------------------------------------------------------------ by id

    def entity(self, cid: str, kind: str) -> Element | None:
        """None for what is gone. The cloud does not tell that from what may not be seen: both have to say so."""
        path = naming.path_of(cid, kind)
        if path is None:
            return None
        try:
            return self._client.get(path)
        except Missing:
            if self._listed(cid, kind):
                raise
            return None

    def vm(self, vm_cid: str) -> Element | None:
        """None for what is gone."""
        return self.entity(vm_cid, "vm")

    def existing_vm(self, vm_cid: VmCid) -> Element:
        """Raises VMNotFound."""
        found = self.vm(vm_cid)
        if found is None:
            raise failures.no_such_vm(vm_cid)
        return found

    def existing_disk(self, disk_cid: DiskCid) -> Element:
        """Raises DiskNotFound."""
        found = self.entity(disk_cid, "disk")
        if found is None:
            raise failures.no_such_disk(disk_cid)
        return found

    def holder(self, disk: Element) -> Element | None:
        """The reference to the VM that a disk is attached to."""
        return documents.one(self._client.get(f"{disk.get('href')}/attachedVms"), "VmReference")

    # ------------------------------------------------------------------ by name

    @property
    def vdc_href(self) -> str:
        """Of the vDC that everything is made in."""
        name = self._settings.entities.virtual_datacenter
        return self._remembered.get(f"vdc {name}", lambda: self._only("orgVdc", "vDC", name)["href"])

    def catalog_href(self, name: str) -> str:
        """Of a catalog, the organisation's own before those that are shared with it."""
        return self._remembered.get(f"catalog {name}", lambda: self._only("catalog", "catalog", name)["href"])

    def vdc(self) -> Element:
        """With its networks and storage profiles."""
        return self._client.get(self.vdc_href)

    def network(self, vdc: Element, name: str) -> Element:
        """The reference to a network of the vDC."""
        return self._of_vdc(vdc, "AvailableNetworks/Network", "network", name)

    def storage_profile(self, vdc: Element, name: str) -> Element:
        """The reference to a storage profile of the vDC."""
        return self._of_vdc(vdc, "VdcStorageProfiles/VdcStorageProfile", "storage profile", name)

    def requested_profile(self, requested: str | None, default: str) -> Element | None:
        """The reference to a storage profile; None if the cloud chooses."""
        name = requested or default
        return None if name == ANY else self.storage_profile(self.vdc(), name)

    def compute_policies(self) -> list[Element]:
        """The references to those of the vDC: of sizes and of places."""
        return documents.every(self._client.get(f"{self.vdc_href}/computePolicies"), "VdcComputePolicyReference")

    def vapp(self, name: str) -> Element | None:
        """A vApp of the vDC."""
        found = next(self._client.records("vApp", *equal(name=name, vdc=self.vdc_href)), None)
        return self._client.get(found["href"]) if found is not None else None

    def disk_named(self, name: str) -> Record | None:
        """A disk of the vDC, by the name that it was made with."""
        return next(self._client.records("disk", *equal(name=name, vdc=self.vdc_href)), None)

    def _of_vdc(self, vdc: Element, path: str, kind: str, name: str) -> Element:
        present = documents.every(vdc, path)
        found = next((one for one in present if one.get("name") == name), None)
        if found is None:
            known = ", ".join(sorted(str(one.get("name")) for one in present)) or "none"
            raise errors.CloudError(f"the vDC {vdc.get('name')} has no {kind} {name!r}; known: {known}")
        return found

    def _only(self, query: str, kind: str, name: str) -> Record:
        organization = self._settings.entities.organization
        found = list(self._client.records(query, *equal(name=name)))
        found.sort(key=lambda record: record.get("orgName") != organization)
        if not found:
            raise errors.CloudError(f"the organisation {organization} has no {kind} {name!r} that this user may see")
        return found[0]

    def _listed(self, cid: str, kind: str) -> bool:
        urn = cid.removesuffix(naming.LIGHT)
        return any(True for _ in self._client.records(_QUERIES[kind], *equal(id=urn)))
