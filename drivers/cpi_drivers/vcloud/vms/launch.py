"""How a VM is asked for: the documents of composeVApp and recomposeVApp. Pure."""

import msgspec

from cpi_drivers.vcloud.api import documents
from cpi_drivers.vcloud.api.documents import Element, make, within
from cpi_drivers.vcloud.networks.requested import Nic, bridged, connections
from cpi_drivers.vcloud.properties import VmProperties


class Place(msgspec.Struct, frozen=True):
    """References to what the cloud has of what is requested."""

    parents: list[Element]
    """The networks, one for each NIC."""

    profile: Element | None
    disk: Element | None
    """Near which the VM shall lie."""

    sizing: Element | None
    placement: Element | None


def item(source: Element, name: str, nics: tuple[Nic, ...], properties: VmProperties, place: Place, description: str) -> Element:
    """The VM, out of a template's."""
    general = {"Name": name, "Description": description, "NeedsCustomization": "false"}
    return make(
        "SourcedItem",
        documents.reference("Source", str(source.get("href")), type="application/vnd.vmware.vcloud.vm+xml"),
        within("VmGeneralParams", general),
        make("InstantiationParams", connections(nics, properties.nic_type)),
        _to("StorageProfile", place.profile),
        make("LocalityParams", _to("ResourceEntity", place.disk)) if place.disk is not None else None,
        _policies(place),
        sourceDelete="false",
    )


def params(name: str, item: Element, place: Place, shared: Element | None, description: str) -> Element:
    """A vApp with the VM, or a shared one with the VM more."""
    agreed = make("AllEULAsAccepted", "true")
    if shared is None:
        head = (make("Description", description), make("InstantiationParams", bridged(place.parents)))
        flags = {"deploy": "false", "powerOn": "false", "linkedClone": "false"}
        return make("ComposeVAppParams", *head, item, agreed, name=name, **flags)
    return make("RecomposeVAppParams", make("InstantiationParams", _joined(shared, place.parents)), item, agreed, name=name)


def kind(shared: Element | None) -> str:
    """The media type of params."""
    return "vcloud.composeVAppParams" if shared is None else "vcloud.recomposeVAppParams"


def child(vapp: Element, name: str) -> Element | None:
    """A VM of a vApp."""
    return next((vm for vm in documents.every(vapp, "Children/Vm") if vm.get("name") == name), None)


def _joined(shared: Element, parents: list[Element]) -> Element:
    """The networks that a vApp has, and those that it lacks."""
    section = bridged(parents)
    new = {str(config.get("networkName")): config for config in documents.every(section, "NetworkConfig")}
    present = documents.every(shared, "NetworkConfigSection/NetworkConfig")
    section.extend(config for config in present if config.get("networkName") not in new)
    return section


def _policies(place: Place) -> Element | None:
    if place.sizing is None and place.placement is None:
        return None
    return make("ComputePolicy", _to("VmPlacementPolicy", place.placement), _to("VmSizingPolicy", place.sizing))


def _to(tag: str, target: Element | None) -> Element | None:
    if target is None:
        return None
    more = {key: value for key, value in target.attrib.items() if key in {"id", "name", "type"}}
    return documents.reference(tag, str(target.get("href")), **more)
