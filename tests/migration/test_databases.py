"""Jobs that are databases, moved while they write: each proves itself whole, and every acknowledged row is there."""

import json
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from cpi.agent import jobs
from cpi.kit.waiting import wait_until
from cpi.migration import Strategy
from fixtures.local_cloud import local_config
from tests.house.source import ROOT
from tests.migration import writers
from tests.migration.database_vm import DatabaseVm, database_vms
from tests.migration.writers import KINDS, acknowledged

pytestmark = pytest.mark.root

_AS_OFTEN = {kind: scale for kind, (_, scale) in KINDS.items()}
_NIGHTLY = {**_AS_OFTEN, "small": 100_000, "large": 5120}
_ROOM = {"small": 2048, "large": 6144}
"""MiB; ext4 has an inode for each 16 KiB of its disk, and 100,000 files take one each."""

_MORE_ROWS = 25
_FIRST, _MORE, _GROWTHS = 400, 64, 20

_LONGEST_SECONDS = 900
"""For 100,000 files to be made on a busy machine."""

_PROGRAM = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", writers.__name__)


class _Jobs:
    """Writers beside the job that the VM has already."""

    def __init__(self, vm: DatabaseVm, folder: Path, kinds: Mapping[str, int]) -> None:
        self._vm = vm
        self._kinds = kinds
        self._ledgers = {kind: folder / f"{kind}.ledger" for kind in kinds}

    def begin(self) -> None:
        """They are jobs of the agent, which stops and starts them."""
        for kind, scale in self._kinds.items():
            command = [*_PROGRAM, "write", kind, str(scale), str(self._ledgers[kind])]
            self._vm.spec["jobs"].append({"name": kind, "command": command})
        jobs.stop(self._vm.agent)
        self._vm.agent.apply(self._vm.spec)
        jobs.start(self._vm.agent)
        self.write_on()

    def write_on(self) -> None:
        """Returns when each has written some rows more."""
        for kind, ledger in self._ledgers.items():
            goal = acknowledged(ledger) + _MORE_ROWS
            wait_until(partial(_has_come_to, ledger, goal), f"{kind} writes", deadline_seconds=_LONGEST_SECONDS)

    def assert_whole(self) -> None:
        """Each by its own means, with no writer at work."""
        jobs.stop(self._vm.agent)
        for kind, ledger in self._ledgers.items():
            written = set(range(1, acknowledged(ledger) + 1))
            rows = self._rows(kind)
            assert (kind, written - rows) == (kind, set())
            assert (kind, rows - written) in ((kind, set()), (kind, {len(written) + 1}))
        jobs.start(self._vm.agent)

    def _rows(self, kind: str) -> set[int]:
        folder = f"{self._vm.shell().root}/var/vcap/store/{kind}"
        command = [*_PROGRAM, "read", kind, str(self._kinds[kind]), folder]
        done = self._vm.shell().run(command, deadline_seconds=_LONGEST_SECONDS)
        assert done.status == 0, (kind, done.stderr.decode())
        return set(json.loads(done.stdout))


def _has_come_to(ledger: Path, goal: int) -> bool:
    return acknowledged(ledger) >= goal


def _moved(folder: Path, filesystem: str, kinds: Mapping[str, int], first: int, *sizes: int) -> None:
    with database_vms(folder, local_config(folder, "loop"), {"persistent_disk_fs": filesystem}) as make:
        vm = make(first, 2)
        writing = _Jobs(vm, folder, kinds)
        writing.begin()
        for size in sizes:
            report = vm.move(size, shell=vm.shell(), strategy="live_copy")
            assert report.strategy is Strategy.LIVE_COPY
            writing.write_on()
            writing.assert_whole()
            vm.assert_well()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("filesystem", "kinds", "sizes"),
    [("ext4", ("direct", "lsm", "small", "postgresql"), (240, 300)), ("xfs", ("sqlite", "mapped", "large"), (400, 340))],
    ids=["ext4-grow", "xfs-shrink"],
)
def test_databases_that_write_are_moved_live_and_lose_nothing(
    tmp_path: Path, filesystem: str, kinds: tuple[str, ...], sizes: tuple[int, int]
) -> None:
    """Some at once: O_DIRECT, an LSM tree, small files, PostgreSQL; SQLite in WAL mode, mapped memory, a file of 5 GiB."""
    _moved(tmp_path, filesystem, {kind: _AS_OFTEN[kind] for kind in kinds}, *sizes)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_database_that_writes_is_moved_live_and_loses_nothing(tmp_path: Path, filesystem: str, kind: str) -> None:
    """Each alone and at full size, grown and then shrunk: 100,000 small files, 5 GiB of data."""
    room = _ROOM.get(kind, 0)
    _moved(tmp_path, filesystem, {kind: _NIGHTLY[kind]}, room + 400, room + 460, room + 340)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_under_load_grows_many_times_while_it_runs(tmp_path: Path, kind: str) -> None:
    """On xfs; beside it a client waits for every row. Its longest wait is printed."""
    with database_vms(tmp_path, local_config(tmp_path, "loop"), {"persistent_disk_fs": "xfs"}) as make:
        vm = make(_FIRST, 2)
        writing = _Jobs(vm, tmp_path, {kind: _AS_OFTEN[kind]})
        writing.begin()
        began = time.monotonic()
        for before in range(_FIRST, _FIRST + _GROWTHS * _MORE, _MORE):
            report = vm.move(before + _MORE, shell=vm.shell(), old_size=before, old_cloud_properties={})
            assert (report.strategy, report.jobs_down_seconds) == (Strategy.ONLINE, 0)
            writing.write_on()
        waited = vm.writer.longest_silence(began)
        writing.assert_whole()
        vm.assert_well()
    print(f"\n{kind}: {_GROWTHS} growths, the client waited for {waited:.3f} s at most")  # noqa: T201 - the figure is asked for
