"""Instances on a local cloud, each with an address, a disk and a job of its own that a client writes to."""

import contextlib
import os
import random
import signal
import sqlite3
import sys
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import cpi
from cpi.agent.https import from_settings
from cpi.agent.nats import NatsBus
from cpi.agent.protocol import Agent, Deadlines
from cpi.contract import errors
from cpi.contract.ids import AgentId, DiskCid, StemcellCid, VmCid
from cpi.contract.model import Network
from cpi.contract.operator import ShowsAgentSettings
from cpi.contract.units import MiB
from cpi.demo import job
from cpi.demo.client import Writer, asked
from cpi.kit.waiting import wait_until
from fixtures.local_cloud import local_config_file
from fixtures.nats_server import NatsServer

READY = 120
_BRISK = Deadlines(message=5)
_QUICK = {
    "agent_timeout": 1.0,
    "ready": 8,
    "start": 10,
    "meltdown": {"count": 1000},
    "backoff": {"first": 0.1, "longest": 1.0},
}


def fresh_address() -> str:
    """One that no other test has, in all likelihood, and that the cloud gives nobody by itself."""
    return f"127.{random.randint(130, 250)}.{random.randint(0, 255)}.{random.randint(1, 254)}"  # noqa: S311 - not for secrets


class Instance:
    """One instance."""

    def __init__(
        self, name: str, address: str, agent_id: AgentId, vm_cid: VmCid, disk_cid: DiskCid, spec: dict[str, Any]
    ) -> None:
        self.name = name
        self.agent_id = agent_id
        self.address = address
        self.first_vm = vm_cid
        self.disk_cid = disk_cid
        self.spec = spec
        self.writer = Writer(address)


class Deployment:
    """A local cloud and what is on it."""

    def __init__(self, folder: Path, backing: str = "folder") -> None:
        self.folder = folder
        self.root = folder / "cloud"
        self.config = local_config_file(folder, backing)
        self.cloud = cpi.connect(self.config)
        self.stemcell = self._stemcell()
        self.instances: list[Instance] = []
        self.more: dict[str, Any] = {}
        """What the instances file says beside its instances."""

        self.env: dict[str, Any] = {}
        self.bus: NatsBus | None = None

    def put_on_bus(self, server: NatsServer, bus: NatsBus) -> None:
        """The agents of all VMs to be made, and the file."""
        pair = server.authority.signed("agent.agent.bosh-internal")
        cert = {"ca": server.authority.certificate, "certificate": pair.certificate, "private_key": pair.private_key}
        settings = {"heartbeat_seconds": 0.3}
        self.env = {"bosh": {"mbus": {"urls": [server.url], "cert": cert}, "agent": {"settings": settings}}}
        texts = {"ca": server.authority.certificate, "certificate": server.client.certificate, "key": server.client.private_key}
        for name, text in texts.items():
            (self.folder / f"{name}.pem").touch(mode=0o600)
            (self.folder / f"{name}.pem").write_text(text)
        self.more = {"bus": {"url": server.url, **{name: f"{name}.pem" for name in texts}}}
        self.bus = bus

    def watch_for(self, **seconds: float) -> None:
        """Other patience than the usual."""
        self.more["watch"] = {**_QUICK, **seconds}

    @property
    def file(self) -> Path:
        """The instances file, written anew."""
        path = self.folder / "instances.yml"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump({"watch": _QUICK, **self.more, "instances": [self.entry(one) for one in self.instances]}))
        return path

    def entry(self, one: Instance) -> dict[str, Any]:
        """An instance as the file has it."""
        return {
            "name": one.name,
            "config": "cpi.json",
            "vm": str(one.first_vm),
            "agent_id": str(one.agent_id),
            "stemcell": str(self.stemcell),
            "networks": {"default": _network(one.address).to_document()},
            "disks": [str(one.disk_cid)],
            "env": self.env,
            "metadata": {"name": one.name},
            "spec": one.spec,
        }

    def add(self, name: str, size: int = 64) -> Instance:
        """An instance whose job takes rows, with a disk of size MiB."""
        address, agent_id = fresh_address(), AgentId(str(uuid.uuid4()))
        vm = self.cloud.create_vm(agent_id, self.stemcell, {}, {"default": _network(address)}, [], self.env)
        disk_cid = self.cloud.create_disk(MiB(size), {}, vm.cid)
        command = [sys.executable, str(Path(job.__file__).resolve())]
        spec = {"jobs": [{"name": "rows", "command": command, "env": {"OLD_DATA_BYTES": "1000"}}]}
        with self.agent(vm.cid) as agent:
            agent.wait_until_ready(READY)
            agent.add_persistent_disk(disk_cid, self.cloud.attach_disk(vm.cid, disk_cid))
            agent.mount_disk(disk_cid)
            agent.apply(spec)
            agent.start()
        one = Instance(name, address, agent_id, vm.cid, disk_cid, spec)
        self.instances.append(one)
        one.writer.start()
        one.writer.wait_for_more(3)
        return one

    def agent(self, vm_cid: VmCid) -> Agent:
        """The agent of a VM."""
        assert isinstance(self.cloud, ShowsAgentSettings)
        settings = self.cloud.agent_settings(vm_cid)
        return from_settings(settings) if self.bus is None else self.bus.agent(settings["agent_id"], _BRISK)

    def vm_of(self, one: Instance) -> VmCid | None:
        """Who has the instance's address now."""
        with contextlib.closing(sqlite3.connect(self.root / "state.sqlite")) as database:
            row = database.execute("SELECT cid FROM vms WHERE address = ? AND state = 'ready'", (one.address,)).fetchone()
        return VmCid(row[0]) if row else None

    def vms(self) -> set[VmCid]:
        """Every VM that the cloud holds."""
        return {VmCid(path.name) for path in (self.root / "vms").iterdir()}

    def disks(self) -> set[DiskCid]:
        """Every disk that the cloud holds."""
        return {DiskCid(path.name) for path in (self.root / "disks").iterdir()}

    def hurt(self, one: Instance, what: str = "vm") -> None:
        """Kill its VM, or its agent alone; "gone": its VM is deleted besides."""
        vm_cid = self.vm_of(one)
        if vm_cid is None:
            return
        with contextlib.suppress(OSError, ValueError):
            leader = int((self.root / "vms" / vm_cid / "agent.lock").read_text().split()[0])
            (os.kill if what == "agent" else os.killpg)(leader, signal.SIGKILL)
        if what == "gone":
            self.cloud.delete_vm(vm_cid)

    def is_well(self, one: Instance, but: VmCid | None = None) -> bool:
        """Whether its job runs, in a VM other than but."""
        vm_cid = self.vm_of(one)
        if vm_cid is None or vm_cid == but:
            return False
        try:
            with self.agent(vm_cid) as agent:
                return agent.get_state().job_state == "running" and agent.list_disk() == (one.disk_cid,)
        except errors.Error:
            return False

    def assert_well(self, one: Instance) -> None:
        """The job runs on its disk, which alone is attached; every acknowledged row is there, and new ones are taken."""
        self.assert_well_but_for(one, set())

    def assert_well_but_for(self, one: Instance, extra: set[DiskCid]) -> None:
        """As assert_well; extra disks are attached too."""
        wait_until(lambda: self.is_well(one), f"{one.name} is well", deadline_seconds=READY)
        vm_cid = self.vm_of(one)
        assert vm_cid is not None
        assert set(self.cloud.get_disks(vm_cid)) == {one.disk_cid} | extra
        one.writer.wait_for_more(3)
        acknowledged = one.writer.acknowledged
        rows = dict(asked(one.address, {"do": "read"})["rows"])
        assert [number for number in range(1, acknowledged + 1) if rows.get(number) != one.writer.text_of(number)] == []

    def assert_nothing_left_over(self) -> None:
        """One VM and one disk for each instance, and its address."""
        assert self.disks() == {one.disk_cid for one in self.instances}
        assert self.vms() == {self.vm_of(one) for one in self.instances}
        with contextlib.closing(sqlite3.connect(self.root / "state.sqlite")) as database:
            taken = {row[0] for row in database.execute("SELECT address FROM vms")}
        assert taken == {one.address for one in self.instances}

    def clear(self) -> None:
        """Stop writing and remove everything."""
        for one in self.instances:
            one.writer.stop()
        for vm_cid in self.vms():
            self.cloud.delete_vm(vm_cid)
        for disk_cid in self.disks():
            self.cloud.delete_disk(disk_cid)
        self.cloud.close()

    def _stemcell(self) -> StemcellCid:
        image = self.folder / "stemcell.tgz"
        (self.folder / "motd").write_text("a test\n")
        with tarfile.open(image, "w:gz") as archive:
            archive.add(self.folder / "motd", "etc/motd")
        return self.cloud.create_stemcell(str(image), {"name": "test", "version": "1"}, {})


def _network(address: str) -> Network:
    return Network(type="manual", ip=address, netmask="255.0.0.0", gateway="127.0.0.1")


@contextlib.contextmanager
def deployment_in(folder: Path, backing: str = "folder") -> Iterator[Deployment]:
    """A deployment that is cleared at the end of the block."""
    made = Deployment(folder, backing)
    try:
        yield made
    finally:
        made.clear()
