"""Stemcells: templates, uploaded, downloaded by the cloud itself, or there already."""

import logging
import re
from pathlib import Path
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import StemcellCid
from cpi.contract.model import CallContext, CloudProperties, Metadata
from cpi.kit.failures import AnswerLost
from cpi.kit.settings import STEMCELL_KEYS, read_cloud_properties
from cpi.kit.undo import Undo
from cpi.kit.waiting import late
from cpi_drivers.cloudstack import naming, tags
from cpi_drivers.cloudstack.api.client import Client, Document
from cpi_drivers.cloudstack.api.errors import Missing, Refused
from cpi_drivers.cloudstack.api.inventory import Inventory
from cpi_drivers.cloudstack.properties import StemcellProperties
from cpi_drivers.cloudstack.settings import CloudStackSettings
from cpi_drivers.cloudstack.stemcells.upload import Form, file_name

LIGHT: Final = " light"

_HYPERVISORS: Final = {"xen": "XenServer", "xenserver": "XenServer", "kvm": "KVM", "vmware": "VMware", "hyperv": "Hyperv"}
_FORMATS: Final = {"XenServer": "VHD", "KVM": "QCOW2", "VMware": "OVA", "Hyperv": "VHDX"}
# What a template says of itself on its way; anything else is why it failed.
_PASSING: Final = re.compile(
    r"^$|%|^(not uploaded|upload(ing|ed| in)|download(ing|ed| complete)|install|creat|process|scan)", re.IGNORECASE
)

_log = logging.getLogger(__name__)


class Stemcells:
    """CloudStack's templates."""

    def __init__(self, client: Client, settings: CloudStackSettings, inventory: Inventory, *, strict: bool) -> None:
        self._client = client
        self._settings = settings
        self._inventory = inventory
        self._strict = strict

    def create(self, image_path: str, cloud_properties: CloudProperties, given: Metadata, context: CallContext) -> StemcellCid:
        """Ready to be booted from."""
        asked = read_cloud_properties(StemcellProperties, cloud_properties, strict=self._strict, ignored_keys=STEMCELL_KEYS)
        if asked.light_template:
            return self._light(asked)
        body = self._body(asked)
        file = "" if asked.source_url else file_name(Path(image_path), body["format"])
        zone = asked.zone or self._settings.default_zone
        body |= {"zoneid": self._inventory.zone_id(zone), "ostypeid": self._os_type_id(asked)}
        with Undo() as undo:
            undo.push(f"template {body['name']}", lambda: self.delete(StemcellCid(body["name"])))
            if asked.source_url:
                self._register(asked.source_url, body)
            else:
                self._upload(Path(image_path), file, body)
            template = self._ready(body["name"], zone)
            self._copy(template, zone)
            tags.add(self._client, "Template", template, naming.initial_tags(context, None, given))
        return StemcellCid(body["name"])

    def delete(self, stemcell_cid: StemcellCid) -> None:
        """Gone from every zone when this returns; a light one was never ours."""
        if stemcell_cid.endswith(LIGHT):
            return
        found = self._rows(stemcell_cid)
        if not found:
            self._inventory.refuse_template_elsewhere(stemcell_cid)
        for template in found[:1]:
            try:
                what = f"delete_stemcell: {stemcell_cid}"
                self._client.run("deleteTemplate", what, "everything", idempotent=True, id=template["id"])
            except Missing:
                return
            except Refused as error:
                raise errors.CloudError(f"the stemcell {stemcell_cid} cannot be deleted: {error.said}") from error

    def _light(self, asked: StemcellProperties) -> StemcellCid:
        name = str(asked.light_template)
        found = {str(row["id"]) for row in rows(self._client, self._inventory, name, "executable")}
        if len(found) != 1:
            said = f"{len(found)} templates are called so: say the id" if found else "does not exist, or is not ready"
            raise errors.CloudError(f"the light stemcell's template {name!r}: {said}")
        return StemcellCid(f"{found.pop()}{LIGHT}")

    def _body(self, asked: StemcellProperties) -> dict[str, Any]:
        hypervisor = _HYPERVISORS[asked.hypervisor.lower()]
        return {
            "name": naming.template_name(),
            "displaytext": f"{asked.name}/{asked.version}".rstrip("/"),
            "hypervisor": hypervisor,
            "format": (asked.disk_format or _FORMATS[hypervisor]).upper(),
            "ispublic": self._settings.is_public,
            "requireshvm": self._settings.stemcell.requires_hvm,
            **self._inventory.scope,
        }

    def _os_type_id(self, asked: StemcellProperties) -> str:
        wanted = self._settings.stemcell.os_type if (asked.os_type or "linux") == "linux" else str(asked.os_type)
        found = [one for one in self._client.pages("listOsTypes", "ostype", description=wanted) if one["description"] == wanted]
        if not found:
            raise errors.CpiError(f"os_type: the cloud knows no guest OS type {wanted!r}")
        return str(found[0]["id"])

    def _register(self, url: str, body: dict[str, Any]) -> None:
        try:
            self._client.call("registerTemplate", url=url, **body)
        except AnswerLost:
            if late(lambda: bool(self._rows(body["name"]))) is None:
                raise

    def _upload(self, path: Path, file: str, body: dict[str, Any]) -> None:
        try:
            where = self._client.call("getUploadParamsForTemplate", **body)["getuploadparams"]
        except AnswerLost:
            late(lambda: bool(self._rows(body["name"])))  # where it would be sent is lost; what was made can be removed
            raise
        with Form(path, file) as form:
            headers = {f"X-{name}": str(where[name]) for name in ("signature", "metadata", "expires")}
            self._client.post_file(str(where["postURL"]), {**headers, "Content-Type": form.content_type}, form)

    def _ready(self, name: str, zone: str) -> Document:
        zone_id = self._inventory.zone_id(zone)

        def look() -> Document | None:
            row = next((row for row in self._rows(name) if row["zoneid"] == zone_id), None)
            if row is None:
                raise errors.CloudError(f"create_stemcell: the template {name} is gone from the zone {zone}")
            status = str(row.get("status") or "")
            if not row["isready"] and not _PASSING.search(status):
                raise errors.CloudError(f"create_stemcell: the template {name}: {status}")
            return row if row["isready"] else None

        return self._client.until(f"create_stemcell: template {name} is not ready", "poll_template", look)

    def _copy(self, template: Document, zone: str) -> None:
        for other in self._settings.stemcell.zones:
            here, there = str(template["zoneid"]), self._inventory.zone_id(other)
            if here == there:
                continue
            what = f"create_stemcell: the copy of {template['name']} from {zone} to {other}"
            asked = {"id": template["id"], "sourcezoneid": here, "destzoneid": there}
            self._client.run("copyTemplate", what, "poll_template", idempotent=True, **asked)

    def _rows(self, cid: str) -> list[Document]:
        """Of a template of the account's own, ready or not: one for each zone that it is in."""
        return rows(self._client, self._inventory, cid, "self")


def rows(client: Client, inventory: Inventory, cid: str, whose: str, **more: str) -> list[Document]:
    """The rows of a template's list, one for each zone."""
    wanted = naming.by(cid)
    try:
        found = list(client.pages("listTemplates", "template", templatefilter=whose, **wanted, **more, **inventory.scope))
    except Missing:
        return []
    return [one for one in found if cid in {one["id"], one["name"]}]


def template_of(client: Client, inventory: Inventory, stemcell_cid: StemcellCid, zone_id: str, zone: str) -> Document:
    """A stemcell's template in a zone. Raises CloudError."""
    found = rows(client, inventory, stemcell_cid.removesuffix(LIGHT), "executable", zoneid=zone_id)
    if not found:
        raise errors.CloudError(f"the stemcell {stemcell_cid} does not exist in the zone {zone}, or is not ready there")
    return found[0]
