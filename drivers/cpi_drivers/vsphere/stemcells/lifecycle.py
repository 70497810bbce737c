"""Stemcells: a VM with a snapshot that others are cloned from, and its copies on other datastores."""

import logging
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import StemcellCid
from cpi.contract.model import CallContext, Metadata
from cpi.kit import ovf_image
from cpi.kit.ovf_image import OvfImage
from cpi.kit.tagging import birth_tags
from cpi.kit.undo import Undo
from cpi.kit.waiting import wait_until
from cpi_drivers.vsphere import naming
from cpi_drivers.vsphere.api import inventory, placement
from cpi_drivers.vsphere.api.attributes import Attributes
from cpi_drivers.vsphere.api.client import Reference, vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.datacenters import Sites
from cpi_drivers.vsphere.api.errors import Refused
from cpi_drivers.vsphere.api.placement import Need, Place
from cpi_drivers.vsphere.settings import clusters_by_name
from cpi_drivers.vsphere.stemcells.upload import Importing

_log = logging.getLogger(__name__)

_SNAPSHOT: Final = "initial"
_PATHS: Final = ("datastore", "snapshot.currentSnapshot", "config.hardware.device", "recentTask")


class Stemcells:
    """In the folder of templates of each vCenter's first datacenter."""

    def __init__(self, sites: Sites, context: CallContext) -> None:
        self._sites = sites
        self._context = context

    def create(self, image_path: str, tags: Metadata) -> StemcellCid:
        """In each vCenter."""
        name = naming.name_of("sc", None)
        with ovf_image.opened(image_path) as image, Undo() as undo:
            for client in self._sites.clients:
                site = next(site for site in self._sites if site.client is client)
                undo.push(f"stemcell {name}", lambda site=site: self._remove(site, name))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
                self._import(site, image, name, tags)
        return StemcellCid(name)

    def delete(self, stemcell_cid: StemcellCid) -> None:
        """With every copy; what was not there is gone."""
        for site in self._sites:
            self._remove(site, stemcell_cid)

    def on(self, stemcell_cid: StemcellCid, site: Site, place: Place) -> tuple[Reference, dict[str, Any]]:
        """The stemcell, or its copy, on the place's datastore, copied if there is none yet; and what was read of it."""
        source = self.source(stemcell_cid, site)
        seen = self._seen(site, source)
        if place.store.reference in seen.get("datastore", ()) and "snapshot.currentSnapshot" in seen:
            return source, seen
        name = naming.escaped(naming.replica_name(stemcell_cid, place.store.id))
        copy = site.stemcell(naming.replica_name(stemcell_cid, place.store.id)) or self._copied(site, source, name, place)
        return copy, self._with_snapshot(site, copy)

    def source(self, stemcell_cid: StemcellCid, site: Site) -> Reference:
        """The stemcell itself. Raises CloudError."""
        near = sorted((other for other in self._sites if other.client is site.client), key=lambda other: other is not site)
        for other in near:
            found = other.stemcell(stemcell_cid)
            if found is not None:
                return found
        for other in near:
            found = other.stemcell_elsewhere(stemcell_cid)
            if found is not None:
                _log.warning(
                    "the stemcell %s is not in the folder %s: it was found elsewhere", stemcell_cid, other.template_folder
                )
                return found
        raise errors.CloudError(f"the stemcell {stemcell_cid} does not exist in {site.client.where.url}")

    # ------------------------------------------------------------------

    def _import(self, site: Site, image: OvfImage, name: str, tags: Metadata) -> None:
        seen = inventory.look(site)
        place = placement.places(seen, clusters_by_name(site.datacenter.clusters), site.vm_stores, Need())[0]
        folder = site.folder(site.template_folder)
        vm = Importing(site.client).run(image, name, place, folder)
        self._snapshot(site, vm)
        Attributes(site.client).set(vm, {**tags, **birth_tags(self._context)})

    def _copied(self, site: Site, source: Reference, name: str, place: Place) -> Reference:
        """Made by this call, or by another at the same time: the vCenter takes a name once."""
        _log.info("the stemcell is copied to %s", place.store.name)
        relocation = vim.vm.RelocateSpec(
            datastore=place.store.reference,
            pool=place.pool,
            host=place.host.reference if place.host else None,
            diskMoveType="moveAllDiskBackingsAndDisallowSharing",
        )
        spec = vim.vm.CloneSpec(location=relocation, powerOn=False, template=False)
        folder = site.folder(site.template_folder)
        what = f"copying the stemcell to {place.store.name}"
        try:
            made = site.client.done(source, "CloneVM_Task", what, if_lost=("DuplicateName",), folder=folder, name=name, spec=spec)
        except Refused as error:
            if error.fault != "DuplicateName":
                raise
            return self._found(site, name, what)
        copy = made if made is not None else self._found(site, name, what)
        self._snapshot(site, copy)
        return copy

    def _found(self, site: Site, name: str, what: str) -> Reference:
        path = f"{site.datacenter.name}/vm/{site.template_folder}/{name}"
        return wait_until(lambda: site.client.find(path), what, deadline_seconds=site.vcenter.task_timeout)

    def _with_snapshot(self, site: Site, copy: Reference) -> dict[str, Any]:
        """Once whoever copies it has made the snapshot; made here if nobody is at it any more."""

        def look() -> dict[str, Any] | None:
            seen = self._seen(site, copy)
            if "snapshot.currentSnapshot" not in seen and not self._is_busy(site, seen):
                self._snapshot(site, copy)
                return None
            return seen if "snapshot.currentSnapshot" in seen else None

        return wait_until(look, "the copy of a stemcell", deadline_seconds=site.vcenter.task_timeout)

    def _is_busy(self, site: Site, seen: dict[str, Any]) -> bool:
        tasks = list(seen.get("recentTask") or ())
        states = site.client.read(tasks, {vim.Task: ("info.state",)}) if tasks else {}
        return any(str(state.get("info.state")) in {"queued", "running"} for state in states.values())

    def _snapshot(self, site: Site, vm: Reference) -> None:
        arguments = {"name": _SNAPSHOT, "description": "", "memory": False, "quiesce": False}
        site.client.done(vm, "CreateSnapshot_Task", "the snapshot of a stemcell", if_lost=("InvalidName",), **arguments)

    def _seen(self, site: Site, vm: Reference) -> dict[str, Any]:
        return site.client.read([vm], {vim.VirtualMachine: _PATHS})[vm]

    def _remove(self, site: Site, stemcell_cid: str) -> None:
        copies = naming.escaped(naming.replica_name(stemcell_cid, ""))
        # Also those that people have moved: but a VM, wherever it is, is no stemcell.
        is_one = naming.is_stemcell(stemcell_cid)
        gone = site.vms_called(lambda name: name == stemcell_cid or name.startswith(copies)) if is_one else []
        if not is_one:
            site.refuse_missing()
        tasks = [_begun(site, vm) for vm in gone]
        for task in filter(None, tasks):
            site.client.finished(task, f"removing the stemcell {stemcell_cid}")


def _begun(site: Site, vm: Reference) -> Reference | None:
    try:
        return site.client.call(vm, "Destroy_Task", idempotent=True)
    except Refused as error:
        if error.fault != "ManagedObjectNotFound":
            raise
        return None
