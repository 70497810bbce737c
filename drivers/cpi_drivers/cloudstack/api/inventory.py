"""Looking at things: by id or by name, never by going through everything."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.kit import failures, private_files, remembering
from cpi_drivers.cloudstack import naming
from cpi_drivers.cloudstack.api.client import Client, Document
from cpi_drivers.cloudstack.api.errors import Missing
from cpi_drivers.cloudstack.settings import CloudStackSettings

GOING_VMS: Final = frozenset({"Destroyed", "Expunging"})
GOING_DISKS: Final = frozenset({"Destroy", "Destroyed", "Expunging", "Expunged"})
_DISKS_AT_REST: Final = frozenset({"Allocated", "Ready", "Uploaded"})
_EVERYWHERE: Final[tuple[Mapping[str, Any], ...]] = ({"listall": True}, {"listall": True, "projectid": "-1"})
"""All that these keys may see: outside of projects, and in any of them."""

_BASIC: Final = " basic"


class Remembered(remembering.Remembered):
    """Those of one endpoint and user."""

    def __init__(self, folder: Path, settings: CloudStackSettings) -> None:
        super().__init__(private_files.named(folder, "cloudstack-ids", settings.endpoint, settings.api_key))


class Inventory:
    """What the account or the project has."""

    def __init__(self, client: Client, settings: CloudStackSettings) -> None:
        self._client = client
        self._settings = settings
        self._remembered = Remembered(client.folder, settings)

    @property
    def scope(self) -> dict[str, Any]:
        """Whose things are meant: for every list, and for what is made."""
        settings = self._settings
        if settings.project:
            return {"projectid": self._project_id(settings.project)}
        return {"account": settings.account, "domainid": settings.domain_id or ""} if settings.account else {}

    # ------------------------------------------------------------------ VMs and disks

    def vm(self, vm_cid: str) -> Document | None:
        """None for what is gone or going, as far as the configuration's project or account goes."""
        found = self._found("listVirtualMachines", "virtualmachine", vm_cid)
        return next((one for one in found if one["state"] not in GOING_VMS), None)

    def vm_unless_gone(self, vm_cid: str) -> Document | None:
        """None for what is gone or going. Raises CloudError for what is in another project or account: it may well run."""
        found = self.vm(vm_cid)
        if found is None:
            self._refuse_elsewhere("listVirtualMachines", "virtualmachine", vm_cid, "VM")
        return found

    def disk_unless_gone(self, disk_cid: str) -> Document | None:
        """As vm_unless_gone."""
        found = self.disk(disk_cid)
        if found is None:
            self._refuse_elsewhere("listVolumes", "volume", disk_cid, "disk")
        return found

    def refuse_template_elsewhere(self, cid: str) -> None:
        """Before a stemcell is said to be gone."""
        self._refuse_elsewhere("listTemplates", "template", cid, "stemcell", templatefilter="self")

    def existing_vm(self, vm_cid: VmCid) -> Document:
        """Raises VMNotFound."""
        found = self.vm_unless_gone(vm_cid)
        if found is None:
            raise failures.no_such_vm(vm_cid)
        return found

    def disk(self, disk_cid: str) -> Document | None:
        """As vm."""
        found = self._found("listVolumes", "volume", disk_cid)
        return next((one for one in found if one["state"] not in GOING_DISKS), None)

    def existing_disk(self, disk_cid: DiskCid) -> Document:
        """Raises DiskNotFound."""
        found = self.disk_unless_gone(disk_cid)
        if found is None:
            raise failures.no_such_disk(disk_cid)
        return found

    def disk_at_rest(self, what: str, timeout: str, disk_cid: DiskCid) -> Document:
        """A disk once nothing works on it."""

        def look() -> Document | None:
            disk = self.existing_disk(disk_cid)
            return disk if disk["state"] in _DISKS_AT_REST else None

        return self._client.until(what, timeout, look)

    def data_disks(self, vm: Document) -> list[Document]:
        """Every disk of a VM but its root."""
        found = self._client.pages("listVolumes", "volume", virtualmachineid=vm["id"], type="DATADISK", **self.scope)
        return list(found)

    def disks_with_ids(self, ids: list[str]) -> list[Document]:
        """Those of them that exist."""
        found = self._client.pages("listVolumes", "volume", ids=ids, **self.scope)
        return [one for one in found if one["state"] not in GOING_DISKS]

    def _found(self, command: str, key: str, cid: str) -> list[Document]:
        return self._within(command, key, cid, self.scope)

    def _within(self, command: str, key: str, cid: str, scope: Mapping[str, Any]) -> list[Document]:
        wanted = naming.by(cid)
        try:
            found = list(self._client.pages(command, key, **wanted, **scope))
        except Missing:
            return []
        return [one for one in found if cid in {one["id"], one["name"]}]

    def _refuse_elsewhere(self, command: str, key: str, cid: str, called: str, **more: Any) -> None:
        for scope in _EVERYWHERE:
            found = self._within(command, key, cid, {**more, **scope})
            there = [one for one in found if one.get("state") not in GOING_VMS | GOING_DISKS]
            for one in there[:1]:
                project, account = one.get("project"), one.get("account", "(unknown)")
                place = f"the project {project}" if project else f"the account {account}"
                told = f"the {called} {cid} is in {place}, which is not that of the configuration"
                raise errors.CloudError(f"{told} (project, account): it is left alone")

    # ------------------------------------------------------------------ what was there before

    def zone_id(self, zone: str) -> str:
        """Raises CloudError."""
        return self._zone(zone).removesuffix(_BASIC)

    def is_basic(self, zone: str) -> bool:
        """Whether it has security groups instead of networks."""
        return self._zone(zone).endswith(_BASIC)

    def named(self, command: str, key: str, name: str, called: str, **more: Any) -> Document:
        """The one thing of a name or id. Raises CloudError that says what there is not."""
        wanted = naming.by(name)
        try:
            found = list(self._client.pages(command, key, **wanted, **more))
        except Missing:
            found = []
        fitting = [one for one in found if name in {one["id"], one.get("name")}]
        if len(fitting) != 1:
            said = "there is no" if not fitting else f"{len(fitting)} are called so: say the id of the"
            raise errors.CloudError(f"{said} {called} {name!r}")
        return fitting[0]

    def _zone(self, zone: str) -> str:
        def ask() -> str:
            found = self.named("listZones", "zone", zone, "zone")
            return str(found["id"]) + (_BASIC if found.get("networktype") == "Basic" else "")

        return self._remembered.get(f"zone {zone}", ask)

    def _project_id(self, project: str) -> str:
        if naming.is_id(project):
            return project
        return self._remembered.get(
            f"project {project}", lambda: str(self.named("listProjects", "project", project, "project")["id"])
        )
