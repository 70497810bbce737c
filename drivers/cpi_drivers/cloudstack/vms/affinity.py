"""Affinity groups: requested by a VM type, or one for each instance group; made when they are missing."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.model import CallContext
from cpi.kit.failures import AnswerLost, Passing
from cpi.kit.waiting import late
from cpi_drivers.cloudstack.api.client import Client, Document
from cpi_drivers.cloudstack.api.errors import Missing, Refused
from cpi_drivers.cloudstack.api.inventory import Inventory
from cpi_drivers.cloudstack.properties import VmProperties
from cpi_drivers.cloudstack.settings import CloudStackSettings

_AUTOMATIC: Final = "multicpi-"
_LONGEST: Final = 255

_log = logging.getLogger(__name__)


class AffinityGroups:
    """Of the account or the project."""

    def __init__(self, client: Client, settings: CloudStackSettings, inventory: Inventory, context: CallContext) -> None:
        self._client = client
        self._settings = settings
        self._inventory = inventory
        self._context = context

    def of(self, wanted: VmProperties, env: Mapping[str, Any] | None) -> str | None:
        """The name of the group that a VM shall be in; it is there when this returns."""
        if wanted.affinity_group:
            self._ensure(wanted.affinity_group, wanted.affinity_group_type)
            return wanted.affinity_group
        group = ((env or {}).get("bosh") or {}).get("group")
        if not self._settings.enable_auto_anti_affinity or not isinstance(group, str) or not group:
            return None
        whose = self._settings.director_name or self._context.director_uuid or "bosh"
        name = f"{_AUTOMATIC}{whose}-{group}"[:_LONGEST]
        self._ensure(name, self._settings.auto_anti_affinity_type)
        return name

    def leave(self, vm: Document) -> None:
        """The last VM of an instance group takes the group along that was made for it."""
        for group in vm.get("affinitygroup", ()):
            if not str(group["name"]).startswith(_AUTOMATIC):
                continue
            try:
                found = self._found(str(group["name"]))
                if found is not None and not found.get("virtualmachineIds"):
                    what = f"affinity group {group['name']}"
                    self._client.run("deleteAffinityGroup", what, "everything", idempotent=True, id=found["id"])
            except Missing:
                continue
            except (Refused, Passing) as error:
                _log.warning("the affinity group %s stays, without VMs: %s", group["name"], error)

    def _ensure(self, name: str, kind: str) -> None:
        if self._found(name) is not None:
            return
        try:
            self._client.run(
                "createAffinityGroup", f"affinity group {name}", "everything", name=name, type=kind, **self._inventory.scope
            )
        except Refused:
            if self._found(name) is None:  # else somebody was faster
                raise
        except AnswerLost:
            if late(lambda: self._found(name)) is None:
                raise

    def _found(self, name: str) -> Document | None:
        found = self._client.pages("listAffinityGroups", "affinitygroup", name=name, **self._inventory.scope)
        return next((one for one in found if one["name"] == name), None)


def refused(group: str | None, error: errors.CloudError) -> str:
    """What to say when a strict group has no host left."""
    return f"{error.message}; the affinity group {group!r} may have no host left" if group else error.message
