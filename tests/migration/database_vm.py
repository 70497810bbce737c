"""One VM on the local cloud with a job on its persistent disk, and a client that keeps its own book of the job's rows."""

import contextlib
import sys
import tarfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cpi
from cpi.agent import jobs
from cpi.agent.https import from_settings
from cpi.agent.protocol import Agent
from cpi.contract import errors
from cpi.contract.ids import AgentId, DiskCid, StemcellCid
from cpi.contract.model import Env
from cpi.contract.operator import ShowsAgentSettings
from cpi.contract.units import MiB, bytes_from_mib
from cpi.demo import job
from cpi.demo.client import Writer, asked
from cpi.kit.waiting import wait_until
from cpi.migration import Report, migrate_disk
from cpi.migration.stopping import Limits
from tests.migration.guest_shells import VmShell
from tests.unit.migration.world import Faults, FaultyTransport, faulty

_READY_SECONDS = 120
PATIENT = Limits(down_seconds=600)
"""A live copy is made however slow the machine is: a busy one can take longer for a small pass than it took for all the data."""

_NEW_ROWS = 2
_ASKED_AGAIN = frozenset({"get_task", "get_state", "ping"})


class DatabaseVm:
    """A VM, its disk, its job, and who writes to it."""

    def __init__(self, document: dict[str, Any], stemcell_cid: StemcellCid, env: Env | None = None) -> None:
        self._document = document
        self.cloud = cpi.connect(document)
        self.root = Path(document["cloud"]["properties"]["local"]["root"])
        networks = {"default": cpi.Network(type="dynamic")}
        vm = self.cloud.create_vm(AgentId(str(uuid.uuid4())), stemcell_cid, {}, networks, [], env)
        self.vm_cid = vm.cid
        assert isinstance(self.cloud, ShowsAgentSettings)
        self.agent = from_settings(self.cloud.agent_settings(vm.cid))
        self.address = vm.networks["default"].ip or "127.0.0.1"
        self.writer = Writer(self.address)

    def begin(self, size: int, data: int) -> None:
        """Mount a disk of size MiB, run a job that keeps data MiB on it, write rows."""
        self.largest = size
        """MiB; who moves the disk elsewhere keeps it, so that what grows in place can be larger than all before."""

        self.disk_cid = self.cloud.create_disk(MiB(size), {}, self.vm_cid)
        self.agent.wait_until_ready(_READY_SECONDS)
        self.agent.add_persistent_disk(self.disk_cid, self.cloud.attach_disk(self.vm_cid, self.disk_cid))
        self.agent.mount_disk(self.disk_cid)
        env = {"OLD_DATA_BYTES": str(bytes_from_mib(MiB(data)))}
        command = [sys.executable, str(Path(job.__file__).resolve())]
        self.spec: dict[str, Any] = {"jobs": [{"name": "rows", "command": command, "env": env}]}
        self.agent.apply(self.spec)
        jobs.start(self.agent)
        self.writer.start()
        self.writer.wait_for_more(_NEW_ROWS)
        self.digest = asked(self.address, {"do": "examine"})["digest"]

    def rest(self) -> None:
        """Write no more, and keep no disk but the job's."""
        self.writer.stop()
        for disk_cid in self.disks() - {self.disk_cid}:
            self.cloud.delete_disk(disk_cid)

    def write_anew(self) -> None:
        """Begin a new book, with the first row."""
        self.writer = Writer(self.address)
        self.writer.start()
        self.writer.wait_for_more(_NEW_ROWS)

    def move(self, size: int, faults: Faults | None = None, **wish: Any) -> Report:
        """Move the disk, over a line that may fail, and follow it."""
        wish = {"limits": PATIENT, **wish}
        if faults is None:
            report = migrate_disk(self.cloud, self.agent, self.vm_cid, self.disk_cid, MiB(size), **wish)
        else:
            with cpi.connect(self._document) as cloud:
                agent = Agent(FaultyTransport(self.agent._transport, faults, _ASKED_AGAIN))
                report = migrate_disk(faulty(cloud, faults), agent, self.vm_cid, self.disk_cid, MiB(size), **wish)
        self.disk_cid = report.disk_cid
        return report

    def shell(self, faults: Faults | None = None) -> VmShell:
        """Root's, in the VM."""
        return VmShell(self.root / "vms" / self.vm_cid, namespace=self._backing == "loop", faults=faults)

    @property
    def seen(self) -> Path:
        """The VM's root with what is mounted in it, as it is seen from here."""
        root = self.root / "vms" / self.vm_cid / "root"
        return Path(f"/proc/{self.group}/root{root}") if self._backing == "loop" else root

    @property
    def _backing(self) -> str:
        return str(self._document["cloud"]["properties"]["local"]["disk_backing"])

    @property
    def group(self) -> int:
        """The VM's first process."""
        return int((self.root / "vms" / self.vm_cid / "agent.lock").read_text())

    def disks(self) -> set[DiskCid]:
        """Every disk that the cloud holds."""
        return {DiskCid(path.name) for path in (self.root / "disks").iterdir()}

    def assert_well(self) -> None:
        """The job runs on its disk, which alone is attached; every acknowledged row is vm, and new ones are taken."""
        assert self.agent.get_state().job_state == jobs.RUNNING
        assert tuple(self.cloud.get_disks(self.vm_cid)) == (self.disk_cid,)
        assert self.agent.list_disk() == (self.disk_cid,)
        self.writer.wait_for_more(_NEW_ROWS)
        acknowledged = self.writer.acknowledged
        rows = dict(wait_until(self._rows, "the job's rows", deadline_seconds=_READY_SECONDS))
        assert [number for number in range(1, acknowledged + 1) if rows.get(number) != self.writer.text_of(number)] == []
        assert asked(self.address, {"do": "examine"})["digest"] == self.digest

    def _rows(self) -> Sequence[Any] | None:
        try:
            return list(asked(self.address, {"do": "read"})["rows"])
        except errors.CloudError:
            return None

    def clear(self) -> None:
        """Stop writing and remove everything."""
        self.writer.stop()
        self.agent.close()
        self.cloud.delete_vm(self.vm_cid)
        for disk_cid in self.disks():
            with contextlib.suppress(errors.CloudError):  # those of other VMs are removed with these
                self.cloud.delete_disk(disk_cid)
        self.cloud.close()


MakeVm = Callable[[int, int], DatabaseVm]
"""Makes one with a disk of so many MiB and so many of data on it."""


@contextmanager
def database_vms(folder: Path, document: dict[str, Any], env: Env | None = None) -> Iterator[MakeVm]:
    """Makes a VM with a disk of so many MiB and so many of data on it; all of it is removed afterwards."""
    with cpi.connect(document) as cloud, ExitStack() as made:
        image = folder / "stemcell.tgz"
        (folder / "motd").write_text("a test\n")
        with tarfile.open(image, "w:gz") as archive:
            archive.add(folder / "motd", "etc/motd")
        stemcell_cid = cloud.create_stemcell(str(image), {"name": "test", "version": "1"}, {})
        made.callback(cloud.delete_stemcell, stemcell_cid)

        def make(size: int, data: int) -> DatabaseVm:
            new = DatabaseVm(document, stemcell_cid, env)
            made.callback(new.clear)
            new.begin(size, data)
            return new

        yield make
