"""Tags of things. The API refuses to set one that is there: it has to be deleted before it is made anew."""

from collections.abc import Iterable, Mapping
from typing import Any

from drivers.cloudstack import naming
from drivers.cloudstack.client import Client, Document
from drivers.cloudstack.errors import AnswerLost


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
    stale = [key for key in changed if key in present]
    if stale:
        _delete(client, kind, thing, stale)
    if changed:
        try:
            _create(client, kind, thing, changed)
        except AnswerLost:
            _delete(client, kind, thing, changed)
            _create(client, kind, thing, changed)


def _create(client: Client, kind: str, thing: Document, tags: Mapping[str, str]) -> None:
    wish: dict[str, Any] = {"resourceids": thing["id"], "resourcetype": kind, "tags": as_parameter(tags)}
    client.run("createTags", f"the tags of {thing['name']}", "everything", **wish)


def _delete(client: Client, kind: str, thing: Document, keys: Iterable[str]) -> None:
    wish: dict[str, Any] = {"resourceids": thing["id"], "resourcetype": kind, "tags": [{"key": key} for key in keys]}
    client.run("deleteTags", f"the tags of {thing['name']}", "everything", twice=True, **wish)
