"""Tags of things. The API refuses to set one that is there: it has to be deleted before it is made anew."""

from collections.abc import Callable, Mapping
from typing import Any

from cpi_drivers.cloudstack import naming
from cpi_drivers.cloudstack.api.client import Client, Document
from cpi_drivers.cloudstack.api.errors import Refused


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
    stale = {key: present[key] for key in changed if key in present}
    if stale:
        _run(client, "deleteTags", thing, kind, stale, lambda now: not stale.items() & now.items())
    if changed:
        _run(client, "createTags", thing, kind, changed, lambda now: changed.items() <= now.items())


def _run(
    client: Client,
    command: str,
    thing: Document,
    kind: str,
    tags: Mapping[str, str],
    is_done: Callable[[Mapping[str, str]], bool],
) -> None:
    """With values in both commands: one that comes late cannot take away what another has set.

    What is refused because an attempt without an answer has done it is done.
    """
    where: dict[str, Any] = {"resourcetype": kind, "tags": as_parameter(tags)}
    try:
        client.run(command, f"the tags of {thing['name']}", "everything", idempotent=True, resourceids=thing["id"], **where)
    except Refused:
        if not is_done(_now(client, thing, kind)):
            raise


def _now(client: Client, thing: Document, kind: str) -> dict[str, str]:
    whose = {key: thing.get(key) for key in (("projectid",) if thing.get("projectid") else ("account", "domainid"))}
    return of({"tags": list(client.pages("listTags", "tag", resourceid=thing["id"], resourcetype=kind, **whose))})
