"""What the acts of the demonstration work on: a local cloud of its own, under a folder of its own."""

import json
import os
import shutil
import signal
import sys
import tarfile
import uuid
from pathlib import Path
from typing import Any, Self

import msgspec
import psutil

from cpi import connecting
from cpi.agent import https
from cpi.agent.protocol import Agent
from cpi.contract import errors
from cpi.contract.ids import AgentId, DiskCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import Network
from cpi.contract.operator import ShowsAgentSettings
from cpi.demo import job
from cpi.kit.waiting import wait_until

_READY_SECONDS = 30.0
_SHARED = "127.0.0.1"
_OTHER = "other-cloud"


class Guest(msgspec.Struct, frozen=True):
    """A VM and the way to it."""

    vm_cid: VmCid
    address: str
    agent: Agent


def job_spec(old_data_bytes: int) -> dict[str, Any]:
    """What an agent is told to run."""
    command = [sys.executable, str(Path(job.__file__).resolve())]
    return {
        "deployment": "demo",
        "jobs": [{"name": "rows", "command": command, "env": {"OLD_DATA_BYTES": str(old_data_bytes)}}],
    }


class Stage:
    """A local cloud under a folder."""

    def __init__(self, folder: Path) -> None:
        """Raises CpiError if there is something else in the folder."""
        self.folder = folder.resolve()
        self.config_path = self.folder / "cpi.json"
        self._root = self.folder / "cloud"
        if not self.config_path.exists():
            self._lay_out()
        self.cloud = connecting.connect(self.config_path)

    @classmethod
    def found(cls, folder: Path) -> Self:
        """The stage that is in the folder already. Raises CpiError if there is none."""
        if not (folder / "cpi.json").exists():
            raise errors.CpiError(f"{folder} holds no demonstration")
        return cls(folder)

    def _lay_out(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(self.folder.iterdir()):
            raise errors.CpiError(f"{self.folder} is not empty: the demonstration wants a folder of its own")
        document = {"cloud": {"plugin": "local", "properties": {"local": {"root": str(self._root)}}}}
        self.config_path.write_text(f"{json.dumps(document, indent=2)}\n", encoding="utf-8")

    def other(self) -> Self:
        """A second cloud, in a folder of this one."""
        return type(self)(self.folder / _OTHER)

    def make_stemcell(self) -> StemcellCid:
        """A stemcell of one small file."""
        motd = self.folder / "motd"
        motd.write_text("made by cpi demo\n", encoding="utf-8")
        image = self.folder / "stemcell.tgz"
        with tarfile.open(image, "w:gz") as archive:
            archive.add(motd, "etc/motd")
        return self.cloud.create_stemcell(str(image), {"name": "demo", "version": "1"}, {})

    def make_vm(self, stemcell_cid: StemcellCid) -> Guest:
        """A VM whose agent answers."""
        vm = self.cloud.create_vm(AgentId(str(uuid.uuid4())), stemcell_cid, {}, {"default": Network(type="dynamic")}, (), {})
        if not isinstance(self.cloud, ShowsAgentSettings):
            raise errors.NotSupported(f"the driver {self.cloud.name} does not report how to reach its agents")
        agent = https.from_settings(self.cloud.agent_settings(vm.cid))
        agent.wait_until_ready(_READY_SECONDS)
        return Guest(vm.cid, vm.networks["default"].ip or _SHARED, agent)

    def network_at(self, address: str) -> Network:
        """A network on which a VM gets that address, where VMs have one of their own."""
        if address == _SHARED:
            return Network(type="dynamic")
        return Network(type="manual", ip=address, netmask="255.0.0.0", gateway=_SHARED)

    def attach(self, guest: Guest, disk_cid: DiskCid) -> None:
        """Attach and mount a disk in BOSH's order."""
        hint = self.cloud.attach_disk(guest.vm_cid, disk_cid)
        guest.agent.add_persistent_disk(disk_cid, hint)
        guest.agent.mount_disk(disk_cid)

    def run_job(self, guest: Guest, old_data_bytes: int) -> None:
        """Have the agent run the job, and wait until it does."""
        guest.agent.apply(job_spec(old_data_bytes))
        guest.agent.start()
        wait_until(lambda: guest.agent.get_state().job_state == "running", "the job runs", deadline_seconds=_READY_SECONDS)

    def kill(self, guest: Guest) -> None:
        """Lose a VM: its process group dies at once, and nothing in it is told."""
        os.killpg(self._group(guest), signal.SIGKILL)

    def processes_of(self, guest: Guest) -> list[psutil.Process]:
        """The processes of a VM."""
        return psutil.Process(self._group(guest)).children(recursive=True)

    def _group(self, guest: Guest) -> int:
        lock = self._root / "vms" / guest.vm_cid / "agent.lock"
        return int(lock.read_text(encoding="ascii").split()[0])

    def clear(self) -> list[str]:
        """Remove everything that is there, however it came to be, and the folder. What could not be removed."""
        left = [
            *(self.other().clear() if (self.folder / _OTHER / "cpi.json").exists() else ()),
            *self._remove("vms", lambda cid: self.cloud.delete_vm(VmCid(cid))),
            *self._remove("snapshots", lambda cid: self.cloud.delete_snapshot(SnapshotCid(cid))),
            *self._remove("disks", lambda cid: self.cloud.delete_disk(DiskCid(cid))),
            *self._remove("stemcells", lambda cid: self.cloud.delete_stemcell(StemcellCid(cid))),
        ]
        self.cloud.close()
        if not left:
            shutil.rmtree(self.folder)
        return left

    def _remove(self, kind: str, remove: Any) -> list[str]:
        left: list[str] = []
        folder = self._root / kind
        for cid in sorted(path.name for path in folder.iterdir()) if folder.exists() else ():
            try:
                remove(cid)
            except errors.Error as error:
                left.append(f"{folder / cid}: {error.message}")
        return left
