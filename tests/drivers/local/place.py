"""A local cloud of a test, with everything to look inside and to clear away."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cpi.connecting import connect
from cpi.contract.ids import AgentId, DiskCid, StemcellCid, VmCid
from cpi.contract.model import CallContext, Env, Network, Networks, Vm
from cpi.contract.units import MiB
from cpi_drivers.local.cloud import LocalCloud
from cpi_drivers.local.host import loop_devices
from cpi_drivers.local.host.layout import Layout
from cpi_drivers.local.host.state import State
from cpi_drivers.local.host.vm_process import VmProcess
from cpi_drivers.local.stemcells.small import write_small_stemcell

AGENT: Final = AgentId("11111111-2222-3333-4444-555555555555")
SLEEPER: Final = [sys.executable, "-c", "import time; time.sleep(3600)"]
"""In place of an agent, where only the VM's life counts."""


class Place:
    """One root folder."""

    def __init__(self, folder: Path, backing: str = "folder") -> None:
        self.folder = folder
        self.root = folder / "cloud"
        self.layout = Layout(str(self.root))
        self.block: dict[str, Any] = {"root": str(self.root), "disk_backing": backing, "agent": {"command": SLEEPER}}
        self.cloud = self.connect()

    def document(self, **block: object) -> Mapping[str, Any]:
        """The configuration."""
        return {"cloud": {"plugin": "local", "properties": {"local": {**self.block, **block}}}}

    def connect(self, context: CallContext | None = None, **block: Any) -> LocalCloud:
        """Another connection to the same cloud."""
        cloud = connect(self.document(**block), context)
        assert isinstance(cloud, LocalCloud)
        return cloud

    def stemcell(self) -> StemcellCid:
        """A small one."""
        image = self.folder / "image"
        return self.cloud.create_stemcell(str(image), write_small_stemcell(image), {})

    def vm(
        self,
        stemcell_cid: StemcellCid | None = None,
        networks: Networks | None = None,
        env: Env | None = None,
        token: str | None = None,
    ) -> Vm:
        """One whose processes only sleep."""
        networks = {"net": Network(type="dynamic")} if networks is None else networks
        return self.cloud.create_vm(AGENT, stemcell_cid or self.stemcell(), {}, networks, (), env, token)

    def disk(self, size: int = 64, **cloud_properties: object) -> DiskCid:
        """An empty one."""
        return self.cloud.create_disk(MiB(size), cloud_properties)

    def attached(self, size: int = 64) -> tuple[VmCid, DiskCid]:
        """A VM with a disk."""
        vm_cid, disk_cid = self.vm().cid, self.disk(size)
        self.cloud.attach_disk(vm_cid, disk_cid)
        return vm_cid, disk_cid

    def row(self, table: str, cid: str) -> dict[str, Any]:
        """What is on record."""
        (found,) = State(self.layout).rows(f"SELECT * FROM {table} WHERE cid = :cid", {"cid": cid})  # noqa: S608 - a test's own word
        return dict(found)

    def count(self, table: str) -> int:
        """How many are on record, whole or not."""
        return len(State(self.layout).rows(f"SELECT * FROM {table}"))  # noqa: S608 - a test's own word

    def persistent_disks(self, vm_cid: VmCid) -> Mapping[str, Any]:
        """What the VM's agent is told of its disks."""
        found: Mapping[str, Any] = json.loads((self.layout.vm(vm_cid) / "settings.json").read_bytes())["disks"]["persistent"]
        return found

    def process(self, vm_cid: VmCid) -> VmProcess:
        """The VM from outside."""
        return VmProcess(self.layout.vm(vm_cid))

    def leftovers(self) -> list[str]:
        """Everything in the root folder and on record that belongs to a resource."""
        kept = [path for kind in ("stemcells", "vms", "disks", "snapshots", "locks") for path in (self.root / kind).glob("*")]
        tables = ("stemcells", "vms", "addresses", "disks", "snapshots", "networks")
        return [
            *(str(path.relative_to(self.root)) for path in kept if path.name != "ca"),
            *(f"{count} {table}" for table in tables if (count := self.count(table))),
        ]

    def python(self, program: str, *arguments: str) -> "subprocess.Popen[str]":
        """Another process, in which `cloud` is this cloud."""
        head = "import json, sys; from cpi.connecting import connect; cloud = connect(json.loads(sys.argv[1]))\n"
        command = [sys.executable, "-c", head + program, json.dumps(self.document()), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def clear(self) -> None:
        """End what runs, free what is set up: the folder itself is pytest's to remove."""
        for folder in (self.root / "vms").glob("*"):
            VmProcess(folder).kill()
        for image in self.root.glob("disks/*/image"):
            loop_devices.wait_until_unused(image, str(image))
            loop_devices.disconnect(image)
