"""The API's XML: read so that no document can name files or grow without end, and written with everything escaped."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from defusedxml import ElementTree as SafeReader
from defusedxml.common import DefusedXmlException

from cpi.contract import errors
from cpi.kit.failures import AnswerLost

Element = ET.Element

VCLOUD: Final = "http://www.vmware.com/vcloud/v1.5"
OVF: Final = "http://schemas.dmtf.org/ovf/envelope/1"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
VMW: Final = "http://www.vmware.com/schema/ovf"

DISK_PARAMS: Final = "vcloud.diskAttachOrDetachParams"

for _prefix, _space in {"": VCLOUD, "ovf": OVF, "xsi": XSI, "vmw": VMW}.items():
    ET.register_namespace(_prefix, _space)


class Unreadable(ValueError):
    """No XML, or XML with a DTD in it."""


def read(text: bytes) -> Element:
    """The root element. Raises Unreadable."""
    try:
        root: Element = SafeReader.fromstring(text, forbid_dtd=True)
    except (ET.ParseError, DefusedXmlException, ValueError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error
    return root


def written(root: Element) -> bytes:
    """As it is sent."""
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def make(tag: str, *children: Element | str | None, space: str = VCLOUD, **attributes: Any) -> Element:
    """An element; children and attributes that are None are left out, a string is its text."""
    element = ET.Element(f"{{{space}}}{tag}", {name: str(value) for name, value in attributes.items() if value is not None})
    for child in children:
        if isinstance(child, str):
            element.text = child
        elif child is not None:
            element.append(child)
    return element


def ovf(tag: str, *children: Element | str | None, **attributes: Any) -> Element:
    """An element of OVF, and its attributes too."""
    element = make(tag, *children, space=OVF)
    element.attrib.update({f"{{{OVF}}}{name}": str(value) for name, value in attributes.items()})
    return element


def name_of(element: Element) -> str:
    """The tag, without its namespace."""
    return element.tag.rpartition("}")[2]


def one(element: Element, path: str) -> Element | None:
    """The first element at a path of tags, whatever their namespaces: `Tasks/Task`."""
    return element.find("/".join(f"{{*}}{step}" for step in path.split("/")))


def every(element: Element, path: str) -> list[Element]:
    """All elements at a path of tags."""
    return element.findall("/".join(f"{{*}}{step}" for step in path.split("/")))


def text(element: Element, path: str) -> str:
    """What stands at a path; empty if there is nothing."""
    found = one(element, path)
    return (found.text or "").strip() if found is not None else ""


def link(element: Element, rel: str, kind: str = "") -> str | None:
    """Where a link of a relation leads, of a media type that ends so."""
    for found in every(element, "Link"):
        if found.get("rel") == rel and (not kind or kind in found.get("type", "")):
            return found.get("href")
    return None


def address_of(made: Element | None, what: str) -> str:
    """Of what a call has made. Raises AnswerLost if the answer does not say."""
    href = made.get("href") if made is not None else None
    if href is None:
        raise AnswerLost(f"{what}: the answer does not say what was made; it may have been done")
    return href


def attribute(element: Element, name: str) -> str:
    """An attribute, of whatever namespace; empty if there is none."""
    return next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")


def reference(tag: str, href: str, **more: str) -> Element:
    """A reference to something."""
    return make(tag, href=href, **more)


def within(tag: str, items: Mapping[str, str] | Iterable[tuple[str, str]]) -> Element:
    """An element of elements with texts, in their order."""
    pairs: Iterator[tuple[str, str]] = iter(items.items() if isinstance(items, Mapping) else items)
    return make(tag, *(make(name, value) for name, value in pairs))


def arrived(entity: Element, what: str) -> Element | None:
    """What was sent, once the cloud has taken it in; None while it has not. Raises CloudError if it gave up."""
    for task in every(entity, "Tasks/Task"):
        error = one(task, "Error")
        if error is not None:
            raise errors.CloudError(f"{what}: {error.get('minorErrorCode', '')} {error.get('message', '')}")
    status = int(entity.get("status", "0"))
    if status < 0:
        raise errors.CloudError(f"{what}: the cloud could not take it in (status {status})")
    busy = [task for task in every(entity, "Tasks/Task") if task.get("status") in {"queued", "preRunning", "running"}]
    return entity if status > 0 and not busy else None
