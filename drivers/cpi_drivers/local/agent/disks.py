"""The persistent disks of a VM: which are known, where each is mounted, and the copy from one to the other."""

import asyncio
import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cpi_drivers.local.agent.backing import Disk
from cpi_drivers.local.agent.commands import Commands
from cpi_drivers.local.agent.copying import clear, copy_content, is_fresh
from cpi_drivers.local.agent.device_disk import DeviceDisk, may_mount
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.folder_disk import FolderDisk, uncover
from cpi_drivers.local.agent.layout import VmFolder
from cpi_drivers.local.agent.settings import Settings

_HINTS = "persistent_disk_hints"
_MOUNTED = "mounted_disk"
_COPYING = "copying"
_log = logging.getLogger(__name__)


class PersistentDisks:
    """What the kernel has mounted is asked each time; on record is only which disk to mount again at the next start."""

    def __init__(self, vm: VmFolder, settings: Settings, commands: Commands) -> None:
        self._vm = vm
        self._settings = settings
        self._commands = commands

    async def add(self, cid: str, hint: Any) -> dict[str, Any]:
        """add_persistent_disk: keeps the hint for as long as the disk is attached."""
        _check_strings(cid, hint)
        self._vm.keep(_HINTS, {**self._hints(), cid: hint})
        return {}

    async def remove(self, cid: str) -> dict[str, Any]:
        """remove_persistent_disk: forgets the hint."""
        self._vm.keep(_HINTS, {known: hint for known, hint in self._hints().items() if known != cid})
        return {}

    def _hints(self) -> dict[str, Any]:
        return self._vm.recall(_HINTS) or {}

    def _known(self) -> dict[str, Any]:
        # the settings are kept true by the driver; a hint may be of before a reboot
        return {**self._hints(), **self._settings.persistent_disks}

    def hint(self, cid: str) -> Any:
        """How the disk is found. Raises Fault if it is not known."""
        known = self._known()
        if cid not in known:
            raise Fault(f"Persistent disk with volume id '{cid}' could not be found")
        return known[cid]

    def path(self, cid: str) -> Path:
        """Where the disk is on this machine."""
        return _path_of(cid, self.hint(cid))

    def _disk(self, cid: str) -> Disk:
        path = self.path(cid)
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise Fault(f"disk {cid} is not at {path}: {error.strerror}; is it attached to this VM?") from error
        if stat.S_ISDIR(mode):
            return FolderDisk(path)
        if not stat.S_ISBLK(mode):
            raise Fault(f"disk {cid} is at {path}, which is neither a block device nor a folder")
        if not may_mount():
            raise Fault(f"disk {cid} is the device {path}, and mounting it needs root")
        env = self._settings.env
        return DeviceDisk(
            cid,
            path,
            self._vm,
            self._commands,
            kind=env.get("persistent_disk_fs") or "ext4",
            options=env.get("persistent_disk_mount_options") or [],
            busy_seconds=self._settings.busy_seconds,
        )

    def mounted(self, point: Path) -> str | None:
        """The CID of the known disk at a mount point."""
        for cid in self._known():
            try:
                if self._disk(cid).is_mounted_at(point):
                    return cid
            except Fault:
                continue
        return None

    @property
    def _points(self) -> tuple[Path, Path]:
        return self._vm.store, self._vm.migration_target

    async def list(self) -> list[str]:
        """list_disk: the CIDs of the mounted disks."""
        return [cid for cid in map(self.mounted, self._points) if cid]

    async def mount(self, cid: str) -> dict[str, Any]:
        """mount_disk: at store, or beside it if another disk is there; a mounted disk stays where it is."""
        self._settings.load()
        try:
            self.hint(cid)
        except Fault as fault:
            raise fault.within("Reading persistent disk settings") from fault
        if cid not in await self.list():
            point = self._free_point(cid)
            try:
                await self._disk(cid).mount(point)
            except Fault as fault:
                raise fault.within("Mounting persistent disk") from fault
        self._remember()
        return {}

    def _free_point(self, cid: str) -> Path:
        for point in self._points:
            if self.mounted(point) is None:
                if os.path.ismount(point):
                    raise Fault(f"Mounting persistent disk: at {point} something is mounted that is no attached disk")
                uncover(point)
                return point
        raise Fault(f"Mounting persistent disk: {cid} has no place: disks are mounted at {' and '.join(map(str, self._points))}")

    def _remember(self) -> None:
        self._vm.keep(_MOUNTED, self.mounted(self._vm.store))

    async def unmount(self, cid: str) -> dict[str, str]:
        """unmount_disk: says what was done in the BOSH agent's words."""
        try:
            description = _described(cid, self.hint(cid), self._settings.env)
        except Fault as fault:
            raise fault.within("Getting persistent disk settings") from fault
        for point in self._points:
            if self.mounted(point) == cid:
                try:
                    await self._disk(cid).unmount(point)
                except Fault as fault:
                    raise fault.within("Unmounting persistent disk") from fault
                self._remember()
                return {"message": f"Unmounted partition of {description}"}
        return {"message": f"Partition of {description} is not mounted"}

    async def migrate(self, old: str | None = None, new: str | None = None) -> dict[str, Any]:
        """migrate_disk: copies store to the disk beside it and puts that in its place; the old disk is left unmounted.

        Whatever fails, the old disk is back at store and can be written to. Asked again after it is done, it does nothing.
        """
        source, target = map(self.mounted, self._points)
        if new is not None and (source, target) == (new, None):
            return {}
        try:
            if source is None or target is None:
                raise Fault(f"a disk at store and one beside it are needed, mounted are {source} and {target}")  # noqa: TRY301 - one prefix
            if (old or source, new or target) != (source, target):
                raise Fault(f"asked to copy {old} to {new}, but {source} is at store and {target} beside it")  # noqa: TRY301 - as above
            await self._copy(source, target)
            await self._swap(source, target)
        except Fault as fault:
            raise fault.within("Migrating persistent disk") from fault
        self._remember()
        return {}

    async def _copy(self, source: str, target: str) -> None:
        disk = self._disk(source)
        await self._disk(target).check_room_for(self._vm.store)
        await self._make_room(source, target)
        await disk.freeze(self._vm.store)
        try:
            await copy_content(self._commands, self._vm.store.resolve(), self._vm.migration_target.resolve())
        except asyncio.CancelledError:
            await disk.thaw(self._vm.store)
            raise
        except Fault as fault:
            await disk.thaw(self._vm.store)
            raise Fault(f"{fault}; {source} is at store as before, and can be written to") from fault

    async def _make_room(self, source: str, target: str) -> None:
        place = self._vm.migration_target.resolve()
        pair = [source, target]
        if not is_fresh(place):
            if self._vm.recall(_COPYING) != pair:
                raise Fault(f"{target} is not empty, nothing is copied over what is on it")
            _log.info("removing what an interrupted copy left on %s", target)
            await asyncio.to_thread(clear, place)
        self._vm.keep(_COPYING, pair)

    async def _swap(self, source: str, target: str) -> None:
        old, new = self._disk(source), self._disk(target)
        try:
            await new.unmount(self._vm.migration_target)
            await old.unmount(self._vm.store)
            await new.mount(self._vm.store)
        except Fault:
            if self.mounted(self._vm.store) is None:
                await old.mount(self._vm.store)
            await old.thaw(self._vm.store)
            raise
        self._vm.keep(_COPYING, None)

    async def mount_last(self) -> None:
        """Mounts again what was at store when the VM ended. Raises Fault if it is no longer attached."""
        for point in self._points:
            uncover(point)  # a link outlives the VM where a mount would not
        cid = self._vm.recall(_MOUNTED)
        if cid is None:
            return
        if cid not in self._settings.persistent_disks:
            raise Fault(f"disk {cid} was mounted when the VM ended, and is not attached now")
        disk = self._disk(cid)
        if disk.is_mounted_at(self._vm.store):
            await disk.thaw(self._vm.store)  # a VM without a mount namespace of its own may have ended in a copy
        else:
            await disk.mount(self._vm.store)

    async def associate(self, name: str, cid: str) -> None:
        """A link with a name of the director's choice to a disk that is attached and not mounted."""
        _link(self._vm.associated_disks, name, self.path(cid))

    async def add_dynamic(self, cid: str, hint: Any) -> dict[str, Any]:
        """add_dynamic_disk: a link named by the CID."""
        _link(self._vm.dynamic_disks, cid, _path_of(cid, hint))
        return {}

    async def remove_dynamic(self, cid: str) -> dict[str, Any]:
        """remove_dynamic_disk: removes the link, if there is one."""
        _place(self._vm.dynamic_disks, cid).unlink(missing_ok=True)
        return {}


def _link(folder: Path, name: str, path: Path) -> None:
    link = _place(folder, name)
    link.unlink(missing_ok=True)
    link.symlink_to(path)


def _place(folder: Path, name: str) -> Path:
    if name in ("", ".", "..") or "/" in name:
        raise Fault(f"{name!r} cannot be the name of a link")
    return folder / name


def _check_strings(cid: str, hint: Any) -> None:
    values = [hint] if not isinstance(hint, Mapping) else [value for key, value in hint.items() if key != "iscsi_settings"]
    if not values or not all(isinstance(value, str) for value in values):
        raise Fault(f"the hint of disk {cid} must be a string or hold strings, got {hint!r}")


def _path_of(cid: str, hint: Any) -> Path:
    path = hint.get("path") if isinstance(hint, Mapping) else hint
    if not isinstance(path, str) or not path.startswith("/"):
        raise Fault(f"the hint of disk {cid} must be a path or hold one as `path`, got {hint!r}")
    return Path(path)


def _described(cid: str, hint: Any, env: Mapping[str, Any]) -> str:
    keys = hint if isinstance(hint, Mapping) else {"volume_id": hint, "path": hint}
    return (
        f"{{ID:{cid} DeviceID:{keys.get('id', '')} VolumeID:{keys.get('volume_id', '')} Lun:{keys.get('lun', '')} "
        f"HostDeviceID:{keys.get('host_device_id', '')} Path:{keys.get('path', '')} "
        "ISCSISettings:{InitiatorName: Username: Target: Password:} "
        f"FileSystemType:{env.get('persistent_disk_fs') or ''} "
        f"MountOptions:[{' '.join(env.get('persistent_disk_mount_options') or [])}] Partitioner:}}"
    )
