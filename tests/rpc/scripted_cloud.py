"""A driver from outside the repository: answers by rote, notes what it was called with, and misbehaves where it is told to.

Its settings: folder (where it notes calls and makes things), misbehave (method: name of a misbehaviour), password.
"""

import functools
import importlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NoReturn, Self

import msgspec

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.encoding import to_plain
from cpi.contract.ids import AgentId, DiskCid, NetworkCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import (
    CloudConfig,
    CloudProperties,
    CreatedNetwork,
    DiskHint,
    Env,
    Metadata,
    NetworkAddresses,
    NetworkDefinition,
    Networks,
    Vm,
    VmResources,
)
from cpi.contract.units import MiB
from cpi.kit.settings import Secret, read_settings
from cpi.kit.undo import Undo
from cpi.kit.waiting import wait_until

_log = logging.getLogger(__name__)


class ScriptedSettings(msgspec.Struct, frozen=True):
    """Its block."""

    folder: str
    misbehave: Mapping[str, str] = {}
    password: Secret = Secret("")


class ScriptedCloud(Cloud):
    """Every power, no cloud."""

    name = "scripted"
    stemcell_formats = ("scripted-tar",)
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)

    def __init__(self, settings: ScriptedSettings, config: CloudConfig) -> None:
        self._settings = settings
        self._config = config
        self._folder = Path(settings.folder)

    @classmethod
    def connect(cls, config: CloudConfig) -> Self:
        return cls(read_settings(ScriptedSettings, config.properties, "cloud.properties.scripted"), config)

    def close(self) -> None:
        self._note("close")

    def ping(self) -> str:
        self._note("ping")
        return "pong"

    def create_stemcell(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> StemcellCid:
        self._note("create_stemcell", image_path, cloud_properties, tags)
        return StemcellCid("stemcell-1")

    def delete_stemcell(self, stemcell_cid: StemcellCid) -> None:
        self._note("delete_stemcell", stemcell_cid)

    def create_vm(
        self,
        agent_id: AgentId,
        stemcell_cid: StemcellCid,
        cloud_properties: CloudProperties,
        networks: Networks,
        disk_cids: Sequence[DiskCid] = (),
        env: Env | None = None,
        token: str | None = None,
    ) -> Vm:
        documents = {name: network.to_document() for name, network in networks.items()}
        self._note("create_vm", agent_id, stemcell_cid, cloud_properties, documents, disk_cids, env, token)
        return Vm(VmCid("vm-1"), networks)

    def delete_vm(self, vm_cid: VmCid) -> None:
        self._note("delete_vm", vm_cid)

    def has_vm(self, vm_cid: VmCid) -> bool:
        self._note("has_vm", vm_cid)
        return vm_cid == "vm-1"

    def reboot_vm(self, vm_cid: VmCid) -> None:
        self._note("reboot_vm", vm_cid)

    def set_vm_metadata(self, vm_cid: VmCid, metadata: Metadata) -> None:
        self._note("set_vm_metadata", vm_cid, metadata)

    def calculate_vm_cloud_properties(self, resources: VmResources) -> CloudProperties:
        self._note("calculate_vm_cloud_properties", resources)
        if self._settings.misbehave.get("result") == "nan":
            return {"size": float("nan")}
        if self._settings.misbehave.get("result") == "surrogate":
            return {"size": "\ud800"}
        return {"size": "small"}

    def create_disk(
        self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None = None, token: str | None = None
    ) -> DiskCid:
        self._note("create_disk", size, cloud_properties, vm_cid, token)
        return DiskCid("disk-1") if self._settings.misbehave.get("result") != "empty" else ""  # type: ignore[return-value]  # that is the misbehaviour

    def delete_disk(self, disk_cid: DiskCid) -> None:
        self._note("delete_disk", disk_cid)

    def has_disk(self, disk_cid: DiskCid) -> bool:
        self._note("has_disk", disk_cid)
        return disk_cid == "disk-1"

    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        self._note("attach_disk", vm_cid, disk_cid)
        return DiskHint(path="/dev/disk/by-id/disk-1")

    def detach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        self._note("detach_disk", vm_cid, disk_cid)
        raise errors.DiskNotAttached(f"{disk_cid} is not attached to {vm_cid}", ok_to_retry=True)

    def get_disks(self, vm_cid: VmCid) -> Sequence[DiskCid]:
        self._note("get_disks", vm_cid)
        return ()

    def set_disk_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        self._note("set_disk_metadata", disk_cid, metadata)

    def resize_disk(self, disk_cid: DiskCid, size: MiB) -> None:
        self._note("resize_disk", disk_cid, size)

    def update_disk(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        self._note("update_disk", disk_cid, size, cloud_properties)
        return DiskCid("disk-2")

    def snapshot_disk(self, disk_cid: DiskCid, metadata: Metadata) -> SnapshotCid:
        self._note("snapshot_disk", disk_cid, metadata)
        return SnapshotCid("snapshot-1")

    def delete_snapshot(self, snapshot_cid: SnapshotCid) -> None:
        self._note("delete_snapshot", snapshot_cid)

    def create_network(self, definition: NetworkDefinition) -> CreatedNetwork:
        self._note("create_network", definition)
        addresses = NetworkAddresses(range="10.0.0.0/24", gateway="10.0.0.1", reserved=("10.0.0.2",))
        return CreatedNetwork(NetworkCid("network-1"), addresses, {"subnet": "subnet-1"})

    def delete_network(self, network_cid: NetworkCid) -> None:
        self._note("delete_network", network_cid)

    def _note(self, method: str, *arguments: object) -> None:
        line = json.dumps({"method": method, "arguments": to_plain(arguments), "context": to_plain(self._config.context)})
        with (self._folder / "calls.jsonl").open("a") as file:
            file.write(line + "\n")
        with (self._folder / "parents").open("a") as file:
            file.write(f"{os.getppid()}\n")
        misbehaviour = self._settings.misbehave.get(method)
        if misbehaviour:
            MISBEHAVIOURS[misbehaviour](self._folder, self._settings.password.reveal())


def _print(_folder: Path, _password: str) -> None:
    print("a library prints")  # noqa: T201 - the misbehaviour itself
    os.write(1, b"a library writes\n")
    subprocess.run([sys.executable, "-c", "print('a child prints')"], check=True)


def _fail(_folder: Path, password: str) -> NoReturn:
    raise RuntimeError(f"the login with {password} failed")


def _refuse(_folder: Path, password: str) -> NoReturn:
    raise errors.CloudError(f"the cloud refused {password}")


def _exit(_folder: Path, _password: str) -> NoReturn:
    sys.exit(3)


def _speak(_folder: Path, password: str) -> None:
    _log.debug("a detail")
    _log.info("login with %s\nat the cloud, \ud800 \x1b[31m", password)
    _log.info("three %s and one given: %s %s", "wanted")
    logging.getLogger("some.sdk").warning("an SDK warns of %s", json.dumps({"word": password}))
    logging.getLogger("some.sdk").debug("an SDK shows a request")
    warnings.warn("this is deprecated", stacklevel=1)


def _speak_much(_folder: Path, _password: str) -> None:
    for number in range(20_000):
        _log.info("line %s %s", number, "x" * 100)


def _leave_a_thread(_folder: Path, _password: str) -> None:
    threading.Thread(target=time.sleep, args=(3600,)).start()


def _look_around(folder: Path, _password: str) -> None:
    mask = os.umask(0)
    os.umask(mask)
    limits = {str(number): resource.getrlimit(number) for number in range(16)}
    own = [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    found = {
        "cwd": str(Path.cwd()),
        "environment": {repr(name): repr(value) for name, value in sorted(os.environ.items())},
        "limits": limits,
        "umask": mask,
        "zone": time.tzname[0],
        "argv": sys.argv,
        "streams": [stream.fileno() for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "inherited": [number for number in own if number > 2 and _is_inherited(number)],
        "signals": [str(signal.getsignal(number)).partition(" at ")[0] for number in sorted(signal.valid_signals())],
    }
    (folder / "surroundings.json").write_text(json.dumps(found))


def _import(_folder: Path, _password: str) -> None:
    importlib.import_module("needed_by_a_call")


def _is_inherited(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:
        return False


def _wait(folder: Path, _password: str) -> None:
    with Undo() as undo:
        (folder / "thing").touch()
        undo.push("thing", (folder / "thing").unlink)
        (folder / "waiting").touch()
        os.write(1, b"waiting\n")  # who waits for this process wakes up
        wait_until(lambda: None, "the thing", deadline_seconds=120)


def _undo_slowly(folder: Path, _password: str) -> None:
    with Undo() as undo:
        for name in ("first", "second"):
            (folder / name).touch()
            undo.push(name, functools.partial(_remove_slowly, folder / name))
        (folder / "waiting").touch()
        wait_until(lambda: None, "the thing", deadline_seconds=120)


def _remove_slowly(path: Path) -> None:
    path.with_suffix(".going").touch()
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 0.5, "half a second", deadline_seconds=60)
    path.unlink()


def _fail_and_undo_slowly(folder: Path, _password: str) -> None:
    with Undo() as undo:
        (folder / "first").touch()
        undo.push("first", lambda: _remove_slowly(folder / "first"))
        raise errors.VMCreationFailed("no room", ok_to_retry=True)


MISBEHAVIOURS: dict[str, Callable[[Path, str], None]] = {
    "print": _print,
    "fail": _fail,
    "refuse": _refuse,
    "exit": _exit,
    "speak": _speak,
    "speak much": _speak_much,
    "leave a thread": _leave_a_thread,
    "look around": _look_around,
    "import": _import,
    "wait": _wait,
    "undo slowly": _undo_slowly,
    "fail and undo slowly": _fail_and_undo_slowly,
}
