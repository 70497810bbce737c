"""Metadata of VMs, disks and stemcells."""

from collections.abc import Mapping
from typing import Final

from cpi_drivers.vcloud.api import documents
from cpi_drivers.vcloud.api.client import Client
from cpi_drivers.vcloud.api.documents import XSI, Element, make

_KIND: Final = "vcloud.metadata"


def add(client: Client, href: str, entries: Mapping[str, str], what: str) -> None:
    """Added to what is there."""
    if entries:
        client.run(f"{href}/metadata", what, _document(entries), _KIND, idempotent=True)


def of(client: Client, href: str) -> dict[str, str]:
    """What is there."""
    found = documents.every(client.get(f"{href}/metadata"), "MetadataEntry")
    return {documents.text(entry, "Key"): documents.text(entry, "TypedValue/Value") for entry in found}


def _document(entries: Mapping[str, str]) -> Element:
    return make("Metadata", *(_entry(key, value) for key, value in entries.items()))


def _entry(key: str, value: str) -> Element:
    typed = make("TypedValue", make("Value", value))
    typed.set(f"{{{XSI}}}type", "MetadataStringValue")
    return make("MetadataEntry", make("Key", key), typed)
