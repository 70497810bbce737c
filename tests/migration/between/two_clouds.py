"""Two local clouds: a VM with a job that writes on the one, room for another on the other."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cpi
from cpi.agent import jobs
from cpi.agent.https import from_settings
from cpi.agent.shell import shell_by_agent
from cpi.contract.ids import DiskCid, StemcellCid, VmCid
from cpi.contract.operator import ShowsAgentSettings
from cpi.contract.units import MiB
from cpi.demo.client import asked
from cpi.migration import Destination, Report, Way, move_between_clouds
from fixtures.local_cloud import local_config
from tests.migration.checker import Picture, picture
from tests.migration.database_vm import DatabaseVm, database_vms

SIZE, LARGER = 128, 192
_DATA = 8
_OF_THE_JOB = frozenset({"rows.sqlite", "rows.sqlite-wal", "rows.sqlite-shm", "rows.sqlite-journal", "old-data"})


class TwoClouds:
    """The old VM, and what is there of the new one."""

    def __init__(self, folder: Path, vm: DatabaseVm, stemcell: StemcellCid) -> None:
        self.vm = vm
        self.folder = folder
        self.stemcell = stemcell
        self.old_config = folder / "old" / "cpi.json"
        self.new_config = folder / "new" / "cpi.json"
        self.cloud = cpi.connect(self.new_config)
        self.root = folder / "new" / "cloud"

    def destination(self, way: Way = Way.AUTO, **more: Any) -> Destination:
        """A VM as the old one is, on the other cloud."""
        return Destination(
            stemcell=self.stemcell,
            networks={"default": {"type": "dynamic"}},
            config=str(self.new_config),
            name="rows/0",
            spec=self.vm.spec,
            metadata={"name": "rows/0"},
            way=way,
            **more,
        )

    def move(self, to: Destination, **wish: Any) -> Report:
        """Move the disk, here and now."""
        move_id = wish.pop("move_id", "here")
        with shell_by_agent(self.vm.agent, move_id=move_id) as shell:
            old = (self.vm.cloud, self.vm.agent, shell)
            return move_between_clouds(
                old, self.vm.vm_cid, self.vm.disk_cid, self.cloud, to, MiB(LARGER), move_id=move_id, **wish
            )

    def follow(self, vm_cid: VmCid) -> None:
        """Whoever writes goes on with the job where it runs now."""
        self.vm.writer.address = self._agent_settings(vm_cid)["networks"]["default"]["ip"]

    def _agent_settings(self, vm_cid: VmCid) -> Any:
        assert isinstance(self.cloud, ShowsAgentSettings)
        return self.cloud.agent_settings(vm_cid)

    def assert_arrived(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        """The job runs there on its disk alone with every acknowledged row; the old VM is stopped, its disk unmounted."""
        assert (self.vms(), self.disks()) == ({vm_cid}, {disk_cid})
        self.follow(vm_cid)
        self.vm.writer.wait_for_more(2)
        with from_settings(self._agent_settings(vm_cid)) as agent:
            assert agent.get_state().job_state == jobs.RUNNING
            assert agent.list_disk() == (disk_cid,)
        acknowledged = self.vm.writer.acknowledged
        rows = dict(asked(self.vm.writer.address, {"do": "read"})["rows"])
        assert [one for one in range(1, acknowledged + 1) if rows.get(one) != self.vm.writer.text_of(one)] == []
        assert asked(self.vm.writer.address, {"do": "examine"})["digest"] == self.vm.digest
        assert self.vm.agent.get_state().job_state == jobs.STOPPED
        assert self.vm.agent.list_disk() == ()
        assert tuple(self.vm.cloud.get_disks(self.vm.vm_cid)) == (self.vm.disk_cid,)
        self.assert_no_way_is_left()

    def assert_undone(self) -> None:
        """The job runs as before, and there is nothing on the other cloud."""
        assert (self.vms(), self.disks()) == (set(), set())
        self.vm.assert_well()
        self.assert_no_way_is_left()

    def assert_no_way_is_left(self) -> None:
        """No user may log in to either guest, and no key or note lies in one."""
        for root in (self.vm.root, self.root):
            for vm in (root / "vms").iterdir():
                assert list((vm / "state" / "ssh").glob("*.keys")) == []
                assert list((vm / "root" / "var/vcap/data").glob("cpi-move-*")) == []

    def vms(self) -> set[VmCid]:
        """Those of the other cloud."""
        return {VmCid(path.name) for path in (self.root / "vms").iterdir()}

    def disks(self) -> set[DiskCid]:
        """Those of the other cloud."""
        folder = self.root / "disks"
        return {DiskCid(path.name) for path in folder.iterdir()} if folder.exists() else set()

    def store(self, vm_cid: VmCid | None = None) -> Path:
        """The old VM's, or that of the new one."""
        root = (self.vm.root if vm_cid is None else self.root) / "vms" / (vm_cid or self.vm.vm_cid)
        group = int((root / "agent.lock").read_text())
        seen = Path(f"/proc/{group}/root", str(root).removeprefix("/"))
        return seen / "root" / "var/vcap/store"

    def picture(self, vm_cid: VmCid | None = None) -> Picture:
        """What lies there, but for what the job does."""
        found = picture(self.store(vm_cid), without=_OF_THE_JOB)
        del found["."]["changed"]
        return found

    def clear(self) -> None:
        """Remove what is on the other cloud."""
        for vm_cid in self.vms():
            self.cloud.delete_vm(vm_cid)
        for disk_cid in self.disks():
            self.cloud.delete_disk(disk_cid)
        self.cloud.delete_stemcell(self.stemcell)
        self.cloud.close()


@contextmanager
def two_clouds(folder: Path) -> Iterator[TwoClouds]:
    """Disks are loop devices; all is removed afterwards."""
    for name in ("old", "new"):
        (folder / name).mkdir()
        (folder / name / "cpi.json").write_text(json.dumps(local_config(folder / name, "loop")), encoding="utf-8")
    with ExitStack() as made:
        make = made.enter_context(database_vms(folder / "old", local_config(folder / "old", "loop")))
        vm = make(SIZE, _DATA)
        with cpi.connect(folder / "new" / "cpi.json") as cloud:
            stemcell = cloud.create_stemcell(str(folder / "old" / "stemcell.tgz"), {"name": "test", "version": "1"}, {})
        both = TwoClouds(folder, vm, stemcell)
        made.callback(both.clear)
        yield both
