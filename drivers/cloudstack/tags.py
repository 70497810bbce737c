"""Tags of things. The API refuses to set one that is there: it has to be deleted before it is made anew."""

from collections.abc import Mapping
from typing import Any

from drivers.cloudstack import naming
from drivers.cloudstack.client import Client, Document


def of(thing: Document) -> dict[str, str]:
    """As a map."""
    return {str(tag["key"]): str(tag["value"]) for tag in thing.get("tags", ())}


def as_parameter(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """As the API takes them."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def add(client: Client, kind: str, thing: Document, metadata: Mapping[str, Any]) -> None:
    """Added to what is there, as the thing was just seen."""
    present = of(thing)
    changed = {key: value for key, value in naming.cut(metadata, present).items() if present.get(key) != value}
    stale = [{"key": key} for key in changed if key in present]
    where: dict[str, Any] = {"resourceids": str(thing["id"]), "resourcetype": kind}
    if stale:
        client.run("deleteTags", f"the tags of {thing['name']}", "everything", twice=True, **where, tags=stale)
    if changed:
        client.run("createTags", f"the tags of {thing['name']}", "everything", **where, tags=as_parameter(changed))
