"""Stemcells: vApp templates in a catalog, uploaded or there already."""

import io
import logging
from collections.abc import Collection
from typing import Final

from cpi.contract import errors
from cpi.contract.ids import StemcellCid
from cpi.contract.model import CallContext, CloudProperties, Metadata
from cpi.kit import ovf_image
from cpi.kit.failures import AnswerLost
from cpi.kit.ovf_image import OvfImage
from cpi.kit.settings import STEMCELL_KEYS, read_cloud_properties
from cpi.kit.undo import Undo
from cpi.kit.waiting import late
from cpi_drivers.vcloud import naming
from cpi_drivers.vcloud import tags as metadata
from cpi_drivers.vcloud.api import documents
from cpi_drivers.vcloud.api.client import Client, equal
from cpi_drivers.vcloud.api.documents import Element, make
from cpi_drivers.vcloud.api.errors import Missing
from cpi_drivers.vcloud.api.inventory import Inventory
from cpi_drivers.vcloud.properties import StemcellProperties
from cpi_drivers.vcloud.settings import VcloudSettings
from cpi_drivers.vcloud.stemcells.image import files_of

_UPLOAD: Final = "vcloud.uploadVAppTemplateParams"
_USABLE: Final = "8"

_log = logging.getLogger(__name__)


class Stemcells:
    """Of the organisation's catalogs."""

    def __init__(
        self, client: Client, settings: VcloudSettings, inventory: Inventory, context: CallContext, *, strict: bool
    ) -> None:
        self._client = client
        self._entities = settings.entities
        self._inventory = inventory
        self._context = context
        self._strict = strict

    def create(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> StemcellCid:
        """Usable when this returns."""
        wanted = read_cloud_properties(StemcellProperties, cloud_properties, strict=self._strict, ignored_keys=STEMCELL_KEYS)
        if wanted.vapp_template is not None:
            return StemcellCid(self._item_there(wanted.vapp_template, wanted.catalog) + naming.LIGHT)
        with ovf_image.opened(image_path) as image:
            return self._uploaded(image, wanted, tags)

    def delete(self, stemcell_cid: StemcellCid) -> None:
        """Gone when this returns; what was not there is gone. A light one's template is not ours."""
        if stemcell_cid.endswith(naming.LIGHT):
            return
        item = self._inventory.entity(stemcell_cid, "catalogitem")
        if item is not None:
            self._delete_item(item)

    def source(self, stemcell_cid: StemcellCid) -> Element:
        """The VM of a stemcell's template. Raises CloudError."""
        item = self._inventory.entity(stemcell_cid, "catalogitem")
        entity = documents.one(item, "Entity") if item is not None else None
        if entity is None:
            raise errors.CloudError(f"the stemcell {stemcell_cid} does not exist")
        template = self._client.get(str(entity.get("href")))
        vm = documents.one(template, "Children/Vm")
        if vm is None or template.get("status") != _USABLE:
            raise errors.CloudError(f"the stemcell {stemcell_cid} is not ready (status {template.get('status')})")
        return vm

    # ------------------------------------------------------------------

    def _item_there(self, requested: str, catalog: str | None) -> str:
        if naming.path_of(requested, "catalogitem") is not None:
            if self._inventory.entity(requested, "catalogitem") is None:
                raise errors.CloudError(f"vapp_template: there is no catalog item {requested}")
            return requested
        where = catalog or self._entities.vapp_catalog
        found = next(self._client.records("catalogItem", *equal(name=requested, catalogName=where)), None)
        if found is None:
            raise errors.CloudError(f"vapp_template: the catalog {where!r} has no item {requested!r} that this user may see")
        return naming.urn_of(found["href"], "catalogitem")

    def _uploaded(self, image: OvfImage, wanted: StemcellProperties, tags: Metadata) -> StemcellCid:
        files = files_of(image)
        name = naming.name_of("sc", None)
        what = f"create_stemcell: {name}"
        catalog = self._inventory.catalog_href(self._entities.vapp_catalog)
        with Undo() as undo:
            undo.push(f"stemcell {name}", lambda: self._withdraw(name))
            item = self._announced(catalog, name, self._params(name, wanted), what)
            template = str(self._entity_of(item, what).get("href"))
            self._send(image, files, template, what)
            self._client.until(f"{what} is not ready", lambda: documents.arrived(self._client.get(template), what))
            metadata.add(self._client, template, naming.initial_tags(self._context, None, tags), f"{what}: metadata")
        return StemcellCid(naming.urn_of(str(item.get("href")), "catalogitem"))

    def _params(self, name: str, wanted: StemcellProperties) -> Element:
        profile = self._inventory.requested_profile(wanted.storage_profile, self._entities.media_storage_profile)
        told = make("Description", f"{wanted.name} {wanted.version}".strip())
        place = documents.reference("VdcStorageProfile", str(profile.get("href"))) if profile is not None else None
        return make("UploadVAppTemplateParams", told, place, name=name)

    def _announced(self, catalog: str, name: str, body: Element, what: str) -> Element:
        """The catalog item that waits for its files."""
        try:
            return self._client.made(f"{catalog}/action/upload", body, _UPLOAD)
        except AnswerLost:
            item = late(lambda: self._item_named(name))
            if item is None:
                raise
            _log.info("%s: the answer was lost, the item is there", what)
            return item

    def _send(self, image: OvfImage, files: Collection[str], template: str, what: str) -> None:
        """First the descriptor; once it is read the cloud says where it wants the files that it names."""
        first = self._client.until(what, lambda: _links(self._client.get(template), what, ()))
        self._client.upload(next(iter(first.values())), io.BytesIO(image.descriptor), len(image.descriptor), what)
        if files:
            look = f"{what}: reading the OVF"
            wanted = self._client.until(look, lambda: _links(self._client.get(template), what, first))
            for name, href in wanted.items():
                with image.file(name) as file:
                    self._client.upload(href, file, image.size(name), f"{what}: {name}")

    def _withdraw(self, name: str) -> None:
        """An upload that did not come to its end."""
        item = self._item_named(name)
        if item is not None:
            try:
                self._client.cancel(self._client.get(str(self._entity_of(item, name).get("href"))))
            except Missing:
                _log.info("the template of %s is gone already", name)
            self._delete_item(item)

    def _item_named(self, name: str) -> Element | None:
        found = next(self._client.records("catalogItem", *equal(name=name, catalogName=self._entities.vapp_catalog)), None)
        return self._client.get(found["href"]) if found is not None else None

    def _delete_item(self, item: Element) -> None:
        """The template takes its item along; an item whose template is gone goes by itself."""
        what = f"delete_stemcell: {item.get('name')}"
        entity = documents.one(item, "Entity")
        for href in (entity.get("href") if entity is not None else None, item.get("href")):
            try:
                if href is not None:
                    self._client.delete(href, what)
            except Missing:
                continue

    def _entity_of(self, item: Element, what: str) -> Element:
        entity = documents.one(item, "Entity")
        if entity is None:
            raise errors.CloudError(f"{what}: the catalog took it and does not say where it is")
        return entity


def _links(template: Element, what: str, known: Collection[str]) -> dict[str, str] | None:
    """Where to send which files that were not known yet; None if there are none. Raises CloudError if the cloud gave up."""
    documents.arrived(template, what)
    links = {str(file.get("name")): documents.link(file, "upload:default") for file in documents.every(template, "Files/File")}
    return {name: href for name, href in links.items() if href is not None and name not in known} or None
