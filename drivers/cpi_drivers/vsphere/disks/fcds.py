"""First Class Disks: the vCenter knows them by ids of their own, wherever they lie."""

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from cpi.contract import errors
from cpi.contract.units import MiB, bytes_from_mib, mib_from_bytes
from cpi.kit.undo import Undo
from cpi.kit.waiting import wait_until
from cpi_drivers.vsphere import naming
from cpi_drivers.vsphere.api import datastores, devices
from cpi_drivers.vsphere.api.client import Reference, vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.datastores import Store
from cpi_drivers.vsphere.api.errors import AnswerLost, Refused

_log = logging.getLogger(__name__)

STORES: Final = "multicpi-datastores"
"""The key of a disk's metadata under which the datastores are, by a pattern, that were requested for it."""

POLICY: Final = "multicpi-policy"
"""The key under which the id of its storage policy is."""

_KINDS: Final = {"lazyZeroedThick": "preallocated"}
_GONE: Final = frozenset({"NotFound", "FileNotFound"})
_NO_SNAPSHOT: Final = ("NotFound", "FileNotFound", "InvalidArgument")
_KEPT: Final = "keepAfterDeleteVm"


class Fcd(msgspec.Struct, frozen=True):
    """One that was found."""

    id: str
    store: Store
    path: str
    size: int
    """Bytes."""

    kind: str
    """thin, preallocated or eagerZeroedThick."""

    is_attached: bool
    is_kept: bool
    """Whether it outlives a VM that is deleted with it."""

    metadata: Mapping[str, str]

    @property
    def mib(self) -> MiB:
        """Its size, in whole MiB."""
        return mib_from_bytes(self.size)

    @property
    def reference(self) -> dict[str, Any]:
        """As the vCenter is told which one is meant."""
        return {"id": vim.vslm.ID(id=self.id), "datastore": self.store.reference}


class Fcds:
    """Those of one datacenter."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._client = site.client

    # ------------------------------------------------------------------ finding

    def find(self, identity: str, near: Sequence[Store] | None = None) -> Fcd | None:
        """Asked of the datastores of the configuration first, then of the others of near, or of the datacenter.

        Raises CloudError if it is found nowhere, and a datastore that it may be on cannot be reached.
        """
        known = datastores.all_of(self._client, self.site.reference) if near is None else near
        likely = [store for store in known if self.site.disk_stores.fits(store)]
        for store in (*likely, *(store for store in known if store not in likely)):
            found = self._at(store, identity, is_likely=store in likely) if store.reachable else None
            if found is not None:
                return found
        if near is not None:
            return self.find(identity)
        away = [store.name for store in likely if not store.reachable]
        if away:
            cid = naming.fcd_cid(identity)
            raise errors.CloudError(f"it cannot be known whether {cid} exists: no host reaches the datastore {', '.join(away)}")
        return None

    def _at(self, store: Store, identity: str, *, is_likely: bool) -> Fcd | None:
        wanted = {"id": vim.vslm.ID(id=identity), "datastore": store.reference}
        try:
            return _read(self._call("RetrieveVStorageObject", **wanted), store)
        except Refused as error:
            # A datastore of another kind may hold none at all.
            if error.fault not in _GONE and (is_likely or error.fault != "InvalidDatastore"):
                raise
            return None

    def refuse_attached(self, fcd: Fcd, wanted: str) -> None:
        """Raises CloudError, naming the VM that has it."""
        if fcd.is_attached:
            told = f"the disk {naming.fcd_cid(fcd.id)} is attached to the VM {self._holder(fcd)}"
            raise errors.CloudError(f"{told}: detach it to {wanted}")

    def _holder(self, fcd: Fcd) -> str:
        asked = vim.vslm.vcenter.RetrieveVStorageObjSpec(**fcd.reference)
        [found] = self._call("RetrieveVStorageObjectAssociations", ids=[asked])
        vms = [one.vmId for one in found.vmDiskAssociations or ()]
        try:
            seen = self._client.read(
                [self._client.reference("VirtualMachine", vm) for vm in vms], {vim.VirtualMachine: ("name",)}
            )
        except Refused:  # what the id is of, releases of vSphere do not agree on
            seen = {}
        return ", ".join(str(vm["name"]) for vm in seen.values()) or ", ".join(vms) or "that has it"

    # ------------------------------------------------------------------ changing

    def register(self, store: Store, folder: str, name: str) -> Fcd:
        """Make a First Class Disk of a VMDK. One that is a First Class Disk already is found."""
        where = urlencode({"dcPath": self.site.datacenter.name, "dsName": store.name})
        path = f"{self._client.where.url}/folder/{quote(f'{folder}/{name}.vmdk')}?{where}"
        try:
            return _read(self._call("RegisterDisk", path=path, name=name), store)
        except Refused as error:
            found = self._at(store, error.about, is_likely=True) if error.fault == "AlreadyExists" else None
            if found is None:
                raise
            return found

    def keep(self, fcd: Fcd, metadata: Mapping[str, str], gone: Sequence[str] = ()) -> None:
        """Metadata, added to what is there; without that of the keys that are gone."""
        pairs = [vim.KeyValue(key=key, value=value) for key, value in metadata.items()]
        arguments = {"metadata": pairs, "deleteKeys": list(gone)}
        task = self._call("VCenterUpdateVStorageObjectMetadataEx_Task", **fcd.reference, **arguments)
        self._client.finished(task, f"describing the disk {naming.fcd_cid(fcd.id)}")

    def protect(self, fcd: Fcd) -> None:
        """Whoever deletes the VM that has it does not delete it."""
        if not fcd.is_kept:
            self._call("SetVStorageObjectControlFlags", **fcd.reference, controlFlags=[_KEPT])

    def grow(self, fcd: Fcd, size: MiB) -> None:
        """Larger, in place."""
        self._done("ExtendDisk_Task", "growing", fcd, ("InvalidArgument",), newCapacityInMB=size)

    def fill(self, fcd: Fcd) -> None:
        """A thin one gets all the room that it may need."""
        self._done("InflateDisk_Task", "inflating", fcd)

    def set_policy(self, fcd: Fcd, policy: str | None) -> None:
        """Another storage policy, or the datastore's own."""
        task = self._call("UpdateVStorageObjectPolicy_Task", **fcd.reference, profile=devices.profiles(policy))
        self._client.finished(task, f"changing the storage policy of the disk {naming.fcd_cid(fcd.id)}")

    def move(self, fcd: Fcd, store: Store, policy: str | None) -> Fcd:
        """To another datastore. Raises NoDiskSpace before anything is touched."""
        if store.free < fcd.size:
            raise errors.NoDiskSpace(
                f"the disk {naming.fcd_cid(fcd.id)} cannot move to {store.name}: "
                f"it has {fcd.mib} MiB, there are {store.free >> 20} MiB"
            )
        backing = vim.vslm.CreateSpec.DiskFileBackingSpec(datastore=store.reference)
        spec = vim.vslm.RelocateSpec(backingSpec=backing, profile=devices.profiles(policy))
        self._done("RelocateVStorageObject_Task", "moving", fcd, tuple(_GONE), spec=spec)
        return msgspec.structs.replace(fcd, store=store)

    def remove(self, fcd: Fcd) -> None:
        """With its file; what is not there is gone."""
        try:
            self._done("DeleteVStorageObject_Task", "deleting", fcd, tuple(_GONE))
        except Refused as error:
            if error.fault not in _GONE:
                raise

    # ------------------------------------------------------------------ snapshots

    def snapshots(self, fcd: Fcd) -> list[Any]:
        """Their ids and descriptions."""
        return list(self._call("RetrieveSnapshotInfo", **fcd.reference).snapshots or ())

    def snapshot(self, fcd: Fcd, description: str) -> str:
        """The id of the one that is made, or that was made when no answer came: no other has its description."""
        what, tasks = f"a snapshot of the disk {naming.fcd_cid(fcd.id)}", list[Reference]()

        def made() -> str | None:
            return next((one.id.id for one in self.snapshots(fcd) if one.description == description), None)

        with Undo() as undo:
            undo.push(what, lambda: self._withdraw(fcd, tasks, made))
            try:
                arguments = {**fcd.reference, "description": description}
                tasks.append(self._client.call(self._manager, "VStorageObjectCreateSnapshot_Task", **arguments))
                identity: str = self._client.finished(tasks[0], what).id
            except AnswerLost:
                _log.info("%s: the answer was lost, looked for", what)
                return wait_until(made, what, deadline_seconds=self.site.vcenter.request_timeout)
        return identity

    def _withdraw(self, fcd: Fcd, tasks: Sequence[Reference], made: Callable[[], str | None]) -> None:
        """One that is under way is waited for, and removed."""
        for task in tasks:
            with contextlib.suppress(Refused):
                self._client.finished(task, "a snapshot that is not wanted any more")
        identity = made()
        if identity is not None:
            self.remove_snapshot(fcd, identity)

    def remove_snapshot(self, fcd: Fcd, identity: str) -> None:
        """Gone when this returns; what was not there is gone."""
        try:
            self._done("DeleteSnapshot_Task", "deleting a snapshot of", fcd, _NO_SNAPSHOT, snapshotId=vim.vslm.ID(id=identity))
        except Refused as error:
            if error.fault not in _NO_SNAPSHOT or any(one.id.id == identity for one in self.snapshots(fcd)):
                raise

    # ------------------------------------------------------------------

    def _call(self, operation: str, **arguments: Any) -> Any:
        """Of these nothing is done twice by a repeat."""
        return self._client.call(self._manager, operation, idempotent=True, **arguments)

    def _done(self, operation: str, doing: str, fcd: Fcd, if_lost: Sequence[str] = (), **arguments: Any) -> Any:
        what = f"{doing} the disk {naming.fcd_cid(fcd.id)}"
        try:
            return self._client.done(self._manager, operation, what, if_lost=if_lost, **fcd.reference, **arguments)
        except Refused as error:
            if error.is_no_room:
                raise errors.NoDiskSpace(error.message) from error
            raise

    @property
    def _manager(self) -> Reference:
        return self._client.manager("vStorageObjectManager")


def _read(found: Any, store: Store) -> Fcd:
    config = found.config
    return Fcd(
        id=config.id.id,
        store=store,
        path=config.backing.filePath,
        size=bytes_from_mib(MiB(config.capacityInMB)),
        kind=_KINDS.get(config.backing.provisioningType, config.backing.provisioningType),
        is_attached=bool(config.consumerId),
        is_kept=bool(config.keepAfterDeleteVm),
        metadata={pair.key: pair.value for pair in config.metadata or ()},
    )
