"""A VM with a disk and a container that takes rows, and a client that keeps those that were acknowledged."""

import itertools
import socket
import threading
from pathlib import Path
from typing import Any, Self

from cpi.agent import https
from cpi.agent.jobs import start
from cpi.agent.shell import shell_by_agent
from cpi.contract.operator import ShowsAgentSettings
from cpi.contract.units import MiB
from cpi.demo.stage import Guest, Stage
from cpi.kit.waiting import wait_until
from cpi.migration import Report, Strategy, migrate_disk
from cpi.resurrection.instance import Instance
from cpi.resurrection.judging import judge
from cpi.resurrection.report import Order, Standing
from cpi.resurrection.sequence import Recreation
from fixtures.containers import rows_job
from fixtures.ports import own_port

_SECONDS = 60


class Client:
    """Writes one row after another, and keeps those that were acknowledged."""

    def __init__(self, address: str, port: int) -> None:
        self.acknowledged: list[str] = []
        self._to = (address, port)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _write(self) -> None:
        for number in itertools.count():
            row = f"row {number}"
            while not self._ending.is_set() and not self._sent(row):
                self._ending.wait(0.02)
            if self._ending.is_set():
                return
            self.acknowledged.append(row)
            self._ending.wait(0.01)

    def _sent(self, row: str) -> bool:
        try:
            with socket.create_connection(self._to, timeout=10) as connection:
                connection.sendall(f"{row}\n".encode())
                return connection.makefile("r").readline() == f"{row}\n"
        except OSError:
            return False

    def wait_for_more(self, count: int = 5) -> None:
        """Until so many more rows are acknowledged."""
        goal = len(self.acknowledged) + count
        wait_until(lambda: len(self.acknowledged) >= goal, "rows are acknowledged", deadline_seconds=_SECONDS)


class Site:
    """A VM with a disk, and a container that writes to it."""

    def __init__(self, stage: Stage, image: Path, *others: Any) -> None:
        """The other jobs run beside the container that takes rows."""
        self.stage = stage
        self.port = own_port()
        self.stemcell_cid = stage.make_stemcell()
        self.guest = stage.make_vm(self.stemcell_cid)
        self.disk_cid = stage.cloud.create_disk(MiB(96), {}, self.guest.vm_cid)
        stage.attach(self.guest, self.disk_cid)
        self.spec = {"deployment": "d", "jobs": [rows_job(image, self.port), *others]}
        self.guest.agent.apply(self.spec)
        start(self.guest.agent)

    def client(self) -> Client:
        """One that writes to the container."""
        return Client(self.guest.address, self.port)

    def move(self, size: int) -> Report:
        """The disk becomes another of that size."""
        with shell_by_agent(self.guest.agent) as shell:
            report = migrate_disk(
                self.stage.cloud,
                self.guest.agent,
                self.guest.vm_cid,
                self.disk_cid,
                MiB(size),
                strategy=Strategy.LIVE_COPY,
                shell=shell,
            )
        self.disk_cid = report.disk_cid
        return report

    def rows(self) -> list[str]:
        """What is on the disk, as the VM sees it."""
        with shell_by_agent(self.guest.agent) as shell:
            read = shell.run(["cat", f"{shell.root}/var/vcap/store/rows/data/rows"], deadline_seconds=_SECONDS)
        return read.stdout.decode().splitlines()

    def assert_nothing_is_lost(self, client: Client) -> None:
        """Each acknowledged row is there."""
        assert client.acknowledged
        assert set(client.acknowledged) - set(self.rows()) == set()

    def recreate(self) -> None:
        """The VM is lost, or its agent: another takes its place, as cpi watch does it."""
        lost = self.guest
        lost.agent.close()
        self.guest = _recreated(self, lost)


def _recreated(site: Site, lost: Guest) -> Guest:
    stage = site.stage
    wanted: dict[str, Any] = {"stemcell": site.stemcell_cid, "disks": (site.disk_cid,), "spec": site.spec}
    networks = {"default": stage.network_at(lost.address).to_document()}
    instance = Instance(name="rows/0", config=str(stage.config_path), vm=lost.vm_cid, networks=networks, group="rows", **wanted)
    order = Order("", "rows/0", lost.vm_cid, stage.cloud.name, judge(stage.cloud, lost.vm_cid))
    report = Recreation(instance, order, stage.cloud).report()
    assert report.standing is Standing.RECREATED, report
    assert report.vm is not None
    assert isinstance(stage.cloud, ShowsAgentSettings)
    return Guest(report.vm, lost.address, https.from_settings(stage.cloud.agent_settings(report.vm)))


def mounted_below(folder: Path) -> list[str]:
    """The numbers of processes that have something of the folder mounted."""
    found = []
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if str(folder) in mounts.read_text(encoding="utf-8", errors="replace"):
                found.append(mounts.parent.name)
        except OSError:
            continue
    return found
