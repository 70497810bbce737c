"""Stemcells: images in Glance, uploaded, downloaded by Glance itself, or there already."""

from pathlib import Path
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import StemcellCid
from cpi.contract.model import CallContext, CloudProperties, Metadata
from cpi.kit.failures import AnswerLost
from cpi.kit.redaction import scrubbed
from cpi.kit.settings import STEMCELL_KEYS, read_cloud_properties
from cpi.kit.undo import Undo
from cpi_drivers.openstack import naming
from cpi_drivers.openstack.api.client import Client, segment
from cpi_drivers.openstack.api.errors import Missing, Refused
from cpi_drivers.openstack.api.states import Document, Pending, Waits, failed
from cpi_drivers.openstack.properties import StemcellProperties
from cpi_drivers.openstack.settings import OpenStackSettings
from cpi_drivers.openstack.stemcells.image import Reading, check_format, mismatch, properties_of

LIGHT: Final = " light"


class Stemcells:
    """Glance's images."""

    def __init__(self, client: Client, settings: OpenStackSettings, waits: Waits, *, strict: bool) -> None:
        self._client = client
        self._settings = settings
        self._waits = waits
        self._strict = strict

    def create(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata, context: CallContext) -> StemcellCid:
        """Ready to be booted from."""
        wish = read_cloud_properties(StemcellProperties, cloud_properties, strict=self._strict, ignored_keys=STEMCELL_KEYS)
        if wish.image_id:
            return self._light(wish.image_id)
        path = Path(image_path)
        if not wish.source_url:
            check_format(path, wish.disk_format)
        body = properties_of(wish, {**wish.tags, **tags}, public=self._settings.stemcell_public_visibility)
        body |= naming.metadata_at_birth(context, None)
        with Undo() as undo:
            image = self._make(body)
            undo.push(f"image {image['id']}", lambda: self.delete(StemcellCid(image["id"])))
            if wish.source_url:
                self._download(image["id"], wish.source_url)
            else:
                self._upload(image["id"], path)
        return StemcellCid(image["id"])

    def delete(self, stemcell_cid: StemcellCid) -> None:
        """Gone when this returns; a light one was never ours."""
        if stemcell_cid.endswith(LIGHT):
            return
        try:
            self._client.delete("image", f"/images/{segment(stemcell_cid)}")
        except Missing:
            return
        except Refused as error:
            raise errors.CloudError(f"the stemcell {stemcell_cid} cannot be deleted: {error.said}") from error
        self._waits.gone(f"delete_stemcell: {stemcell_cid} is still there", lambda: self._not_deleted(stemcell_cid))

    def _light(self, image_id: str) -> StemcellCid:
        try:
            image = self._look(image_id)
        except Missing as error:
            raise errors.CloudError(f"the light stemcell's image {image_id} does not exist") from error
        if image["status"] != "active":
            raise failed(f"the light stemcell's image {image_id}", image)
        return StemcellCid(image_id + LIGHT)

    def _make(self, body: dict[str, Any]) -> Document:
        try:
            made: Document = self._client.post("image", "/images", body)
        except AnswerLost:
            found = list(self._client.get("image", "/images", {"name": body["name"], "status": "queued"})["images"])
            ours = [image for image in found if image.get("multicpi-call") == body["multicpi-call"]]
            if not ours:
                raise
            made = ours[0]
        except Refused as error:
            raise errors.CloudError(f"no image {body['name']} ({body['visibility']}): {error.said}") from error
        return made

    def _upload(self, image_id: str, path: Path) -> None:
        with Reading(path) as file:
            try:
                self._client.upload(f"/images/{image_id}/file", file)
            except AnswerLost:
                if self._look(image_id)["status"] == "queued":  # nothing of it arrived
                    raise
            image = self._active(image_id, frozenset({"saving"}))
        wrong = mismatch(image, file)
        if wrong:
            raise errors.CloudError(f"the image {image_id} is not what was sent: {wrong}")

    def _download(self, image_id: str, url: str) -> None:
        offered = self._client.get("image", "/info/import")["import-methods"]["value"]
        if "web-download" not in offered:
            raise errors.CpiError(f"source_url: this cloud's image service does not download; it offers: {', '.join(offered)}")
        try:
            self._client.post("image", f"/images/{image_id}/import", {"method": {"name": "web-download", "uri": url}})
            self._active(image_id, frozenset({"queued", "importing", "saving"}))
        except errors.CloudError as error:
            said = f"the image service could not download {scrubbed(url)} (source_url)"
            raise errors.CloudError(f"{said}: {error.message}") from error

    def _active(self, image_id: str, on_the_way: frozenset[str]) -> Document:
        def look() -> Document | Pending:
            image = self._look(image_id)
            said = image.get("os_glance_failed_import")
            if image["status"] not in {"active", *on_the_way} or said:
                raise failed(f"create_stemcell: image {image_id}" + (f" (import to {said} failed)" if said else ""), image)
            return image if image["status"] == "active" else Pending(image)

        return self._waits.until(f"create_stemcell: image {image_id}", look)

    def _look(self, image_id: str) -> Document:
        image: Document = self._client.get("image", f"/images/{segment(image_id)}")
        return image

    def _not_deleted(self, image_id: str) -> Document:
        image = self._look(image_id)
        if image["status"] == "deleted":
            raise Missing(f"GET image/images/{image_id}", 404, "deleted")
        return image
