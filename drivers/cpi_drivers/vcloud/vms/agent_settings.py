"""What a VM's agent is told: a document on a CD, and the same among the VM's guest properties."""

import base64
import binascii
import copy
import io
import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import AgentId
from cpi.contract.model import AgentDefaults, Env, Networks
from cpi.kit.agent_settings import agent_settings
from cpi.kit.failures import AnswerLost
from cpi.kit.waiting import late
from cpi_drivers.vcloud import naming
from cpi_drivers.vcloud.api import documents, hardware
from cpi_drivers.vcloud.api.client import Client, equal
from cpi_drivers.vcloud.api.documents import Element, make, ovf
from cpi_drivers.vcloud.api.errors import Missing
from cpi_drivers.vcloud.api.inventory import Inventory
from cpi_drivers.vcloud.settings import VcloudSettings

_PROPERTY: Final = "user-data"

_log = logging.getLogger(__name__)


def document(
    agent_id: AgentId, vm: Element, networks: Networks, env: Env | None, defaults: AgentDefaults, units: tuple[str, str]
) -> dict[str, Any]:
    """The settings; networks have their MACs, units are those of the root and the ephemeral disk."""
    name, (system, ephemeral) = str(vm.get("name")), units
    settings = agent_settings(agent_id, name, networks, env, defaults, system_disk=system, ephemeral_disk=ephemeral or None)
    return {**settings, "vm": {"name": name, "id": str(vm.get("id"))}}


def iso(settings: Mapping[str, Any]) -> bytes:
    """A CD with one file, `env`."""
    import pycdlib

    content, image = _plain(settings), pycdlib.PyCdlib()
    image.new(interchange_level=1, joliet=3, rock_ridge="1.09")
    image.add_fp(io.BytesIO(content), len(content), "/ENV.;1", rr_name="env", joliet_path="/env")
    written = io.BytesIO()
    image.write_fp(written)
    image.close()
    return written.getvalue()


def with_property(vm: Element, settings: Mapping[str, Any]) -> Element:
    """The VM's product sections, with the settings among them."""
    encoded = base64.b64encode(_plain(settings)).decode()
    told = ovf(
        "Property", ovf("Label", "BOSH agent settings"), key=_PROPERTY, type="string", userConfigurable="true", value=encoded
    )
    kept = [copy.deepcopy(section) for section in documents.every(vm, "ProductSection")]
    return make("ProductSectionList", *kept, ovf("ProductSection", ovf("Info", "BOSH"), told, **{"class": "bosh"}))


def told(vm: Element) -> Mapping[str, Any]:
    """The settings that a VM was given. Raises CloudError."""
    for found in documents.every(vm, "ProductSection/Property"):
        if documents.attribute(found, "key") == _PROPERTY:
            value = documents.one(found, "Value")
            encoded = documents.attribute(found, "value") or (documents.attribute(value, "value") if value is not None else "")
            return _decoded(encoded, str(vm.get("name")))
    raise errors.CloudError(f"the VM {vm.get('name')} has no settings among its guest properties: this CPI did not make it")


class Discs:
    """CDs in the media catalog, one for each VM."""

    def __init__(self, client: Client, settings: VcloudSettings, inventory: Inventory) -> None:
        self._client = client
        self._entities = settings.entities
        self._inventory = inventory

    def insert(self, vm: Element, settings: Mapping[str, Any]) -> None:
        """The CD is in the VM's drive."""
        name, content = disc_name(str(vm.get("id"))), iso(settings)
        what = f"create_vm: the CD {name}"
        profile = self._inventory.requested_profile(None, self._entities.media_storage_profile)
        wanted = make("Media", make("Description", self._entities.description), name=name, imageType="iso", size=len(content))
        if profile is not None:
            wanted.append(documents.reference("VdcStorageProfile", str(profile.get("href"))))
        catalog = self._inventory.catalog_href(self._entities.media_catalog)
        href = self._announced(catalog, name, wanted, what)
        self._send(href, content, what)
        body = make(
            "MediaInsertOrEjectParams", documents.reference("Media", href, type="application/vnd.vmware.vcloud.media+xml")
        )
        self._client.run_unless(
            f"{vm.get('href')}/media/action/insertMedia",
            f"{what} into its VM",
            lambda: hardware.has_disc(self._client.get(str(vm.get("href"))), href),
            body,
            "vcloud.mediaInsertOrEjectParams",
        )

    def remove(self, vm_cid: str) -> None:
        """It is gone when this returns; what was not there is gone."""
        name = disc_name(vm_cid)
        for record in list(self._client.records("media", *equal(name=name))):
            try:
                if record.get("isBusy") == "true":
                    self._client.cancel(self._client.get(record["href"]))  # an upload that nobody will finish
                self._client.delete(record["href"], f"delete_vm: the CD {name}")
            except Missing:
                continue

    def _announced(self, catalog: str, name: str, wanted: Element, what: str) -> str:
        """Where the cloud waits for it."""
        try:
            item = self._client.made(f"{catalog}/action/upload", wanted, "vcloud.media")
            return documents.address_of(documents.one(item, "Entity"), what)
        except AnswerLost:
            found = late(lambda: next(self._client.records("media", *equal(name=name)), None))
            if found is None:
                raise
            return found["href"]

    def _send(self, href: str, content: bytes, what: str) -> None:
        media = self._client.get(href)
        files = documents.every(media, "Files/File")
        where = next((link for link in (documents.link(file, "upload:default") for file in files) if link), None)
        if where is None:
            raise errors.CloudError(f"{what}: the cloud does not say where to send it")
        self._client.upload(where, io.BytesIO(content), len(content), what)
        if documents.one(media, "Tasks/Task") is not None:
            self._client.finished(media, what)
        else:
            self._client.until(what, lambda: documents.arrived(self._client.get(href), what))


def disc_name(vm_cid: str) -> str:
    """The name of a VM's CD: known of a VM that is gone, too."""
    return f"env-{naming.uuid_of(vm_cid)}"


def _plain(settings: Mapping[str, Any]) -> bytes:
    return json.dumps(settings, separators=(",", ":")).encode()


def _decoded(encoded: str, name: str) -> Mapping[str, Any]:
    try:
        settings: Mapping[str, Any] = json.loads(base64.b64decode(encoded))
    except (ValueError, binascii.Error) as error:
        raise errors.CloudError(f"the guest property {_PROPERTY} of the VM {name} holds no agent settings") from error
    return settings
