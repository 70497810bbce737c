"""Snapshots: the content of a disk at one instant, as far as its backing allows."""

import contextlib
import json
from pathlib import Path

from cpi.contract.model import Metadata
from cpi_drivers.local.disks.backings import BACKINGS
from cpi_drivers.local.disks.freezing import frozen, mount_points
from cpi_drivers.local.disks.lifecycle import Disks
from cpi_drivers.local.host import loop_devices
from cpi_drivers.local.host import metadata as metadata_of
from cpi_drivers.local.host.layout import remove_folder
from cpi_drivers.local.host.register import Register, Row, SnapshotNotFound
from cpi_drivers.local.host.vm_process import VmProcess


class Snapshots:
    """The snapshots of one local cloud."""

    def __init__(self, register: Register, disks: Disks) -> None:
        self._register = register
        self._disks = disks

    def create(self, disk_cid: str, metadata: Metadata) -> str:
        """As in the contract. The copy of a folder is not of one instant: what is written meanwhile may be in it or not."""
        with self._disks.locked(disk_cid) as disk:
            columns = {
                "disk_cid": disk_cid,
                "backing": disk["backing"],
                "size": disk["size"],
                "metadata": json.dumps(metadata_of.as_strings(metadata)),
            }
            with self._register.making("snapshots", columns) as cid:
                self._copy(disk, cid)
        return cid

    def delete(self, snapshot_cid: str) -> None:
        """As in the contract: a missing snapshot is fine."""
        self._register.finish_deleting("snapshots", snapshot_cid)
        with contextlib.suppress(SnapshotNotFound), self._register.locked("snapshots", snapshot_cid):
            self._register.delete("snapshots", snapshot_cid)

    def _copy(self, disk: Row, snapshot_cid: str) -> None:
        source, target = self._register.layout.disk(disk["cid"]), self._register.layout.snapshot(snapshot_cid)
        backing = BACKINGS[disk["backing"]]
        if disk["backing"] == "folder" or disk["vm_cid"] is None:
            backing.copy(source, target)
            return
        points = self._mount_points(disk)
        while True:
            with frozen(points):
                backing.copy(source, target)
            if points or not (points := self._mount_points(disk)):
                return
            # mounted while it was copied
            remove_folder(target)

    def _mount_points(self, disk: Row) -> list[Path]:
        pids = VmProcess(self._register.layout.vm(disk["vm_cid"])).pids()
        return mount_points(pids, loop_devices.numbers(disk["hint"]))
