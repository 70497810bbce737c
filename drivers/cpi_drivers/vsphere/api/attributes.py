"""Custom attributes: what people see on VMs and stemcells."""

from collections.abc import Mapping
from typing import Any, Final

from cpi.contract.model import Metadata
from cpi.kit.tagging import Limits, fitted
from cpi_drivers.vsphere.api.client import Client, Reference, vim
from cpi_drivers.vsphere.api.errors import Refused

LIMITS: Final = Limits(key=80, value=1000, number=40)


class Attributes:
    """Those of one vCenter; each name is defined once for all of it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def set(self, entity: Reference, metadata: Metadata) -> None:
        """Added to what is there; what has its value already is left alone. Raises Refused for what does not exist."""
        manager = self._client.manager("customFieldsManager")
        keys, present = self._look(manager, entity)
        for name, value in fitted(metadata, LIMITS, present=present).items():
            if present.get(name) != value:
                key = keys.get(name) if name in keys else self._define(manager, name)
                self._client.call(manager, "SetField", idempotent=True, entity=entity, key=key, value=value)

    def _look(self, manager: Reference, entity: Reference) -> tuple[dict[str, int], Mapping[str, str]]:
        found = self._client.read([manager, entity], {vim.CustomFieldsManager: ("field",), type(entity): ("customValue",)})
        fields = [field for field in found[manager].get("field", ()) if _is_for_vms(field)]
        names = {field.key: str(field.name) for field in fields}
        values = {names[item.key]: str(item.value) for item in found[entity].get("customValue", ()) if item.key in names}
        return {field.name: field.key for field in fields}, values

    def _define(self, manager: Reference, name: str) -> int:
        try:
            made = self._client.call(manager, "AddCustomFieldDef", name=name, moType=vim.VirtualMachine)
        except Refused as error:
            if error.fault != "DuplicateName":
                raise
            found = self._client.read([manager], {vim.CustomFieldsManager: ("field",)})[manager]["field"]
            made = next(field for field in found if field.name == name and _is_for_vms(field))
        key: int = made.key
        return key


def _is_for_vms(field: Any) -> bool:
    return field.managedObjectType in {None, vim.VirtualMachine}
