"""Moves and workers whose PostgreSQL goes away, fills up, or does not answer: an end in time, nothing twice, nothing lost."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.hanging_relay import hanging_relay
from fixtures.postgresql import Server, program, server
from tests.cli.conftest import Command
from tests.migration.database_vm import DatabaseVm, database_vms

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(program("postgres") is None, reason="needs the Debian package postgresql"),
]

_SECONDS = 120.0


@pytest.fixture
def vm(tmp_path: Path, config: Path) -> Iterator[DatabaseVm]:
    """A VM with a disk of 64 MiB, whose job can be stopped once the file `go` is there."""
    with database_vms(tmp_path, json.loads(config.read_text())) as make:
        made = make(64, 1)
        (job,) = made.spec["jobs"]
        wait = f"while [ ! -e '{tmp_path / 'go'}' ]; do sleep 0.1; done; echo 0"
        made.agent.apply({"jobs": [{**job, "drain": {"command": ["sh", "-c", wait, "drain"]}}]})
        yield made


@contextlib.contextmanager
def _started(folder: Path, database: str, *arguments: object, inside: tuple[str, ...] = ()) -> Iterator["subprocess.Popen[str]"]:
    command = [*inside, str(Path(sys.executable).with_name("cpi")), *map(str, arguments)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "200", "CPI_DATABASE": database}
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _heard(process: "subprocess.Popen[str]", words: str) -> str:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            return line
    pytest.fail(f"{words!r} was not said: {said}")


@contextlib.contextmanager
def _small_disk() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="multicpi-small-", dir="/var/tmp"))  # where `nobody` gets to
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m,mode=0755", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def _restart(made: Server) -> Callable[[], None]:
    made.stop(signal.SIGINT)
    made.start()
    return lambda: None


def _fill(made: Server) -> Callable[[], None]:
    """Up to the last byte; what the server has open ahead of time it may still write."""
    filler = made.folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 12))

    def free() -> None:
        filler.unlink()
        made.stop(signal.SIGINT)
        made.start()

    return free


@pytest.mark.root
@pytest.mark.parametrize("spoil", [_restart, pytest.param(_fill, marks=pytest.mark.nightly)])
def test_a_move_outlives_its_database(
    config: Path, vm: DatabaseVm, tmp_path: Path, cpi: Command, spoil: Callable[[Server], Callable[[], None]]
) -> None:
    """In the middle of it the server restarts, or its disk is full: the process ends, and another finishes the move, once."""
    wish = ("--config", config, "--vm", vm.vm_cid, "--disk", vm.disk_cid, "--size", "96M", "--strategy", "copy")
    with _small_disk() as disk, server(disk) as made:
        with _started(tmp_path, made.url(), "migrate", *wish) as process:
            move_id = _heard(process, "move ").split()[1]
            _heard(process, "stop the jobs")
            mend = spoil(made)
            (tmp_path / "go").touch()
            _, err = process.communicate(timeout=_SECONDS)
        assert process.returncode in {1, 130}, err
        assert "cpi migrate --resume" in err
        assert "Traceback" not in err
        mend()
        resumed = cpi("migrate", "--resume", move_id, "--json", CPI_DATABASE=made.url())
        assert resumed.returncode == 0, resumed.stderr
        again = cpi("migrate", "--resume", move_id, "--json", CPI_DATABASE=made.url())
        assert json.loads(again.stdout)["disk_cid"] == json.loads(resumed.stdout)["disk_cid"]
    old, vm.disk_cid = vm.disk_cid, json.loads(resumed.stdout)["disk_cid"]
    vm.assert_well()
    assert vm.disks() == {old, vm.disk_cid}


@pytest.mark.nightly
def test_a_worker_whose_database_does_not_answer_ends(tmp_path: Path) -> None:
    """A proxy that takes everything and passes nothing on looks whole to the kernel."""
    with server() as made, hanging_relay(made.port) as relay:
        url = made.url().replace(f":{made.port}/", f":{relay.port}/")
        with _started(tmp_path, url, "worker") as process:
            _heard(process, "worker")
            relay.hang()
            _, err = process.communicate(timeout=_SECONDS)
        assert process.returncode == 130
        assert "others take its moves up" in err


@pytest.mark.root
@pytest.mark.nightly
def test_a_worker_that_is_cut_off_from_its_database_ends(tmp_path: Path) -> None:
    """In a network of its own, whose one link goes down: nobody says goodbye. It ends before the server gives its locks away."""
    name = f"multicpi-{os.getpid()}"
    inside = ("ip", "netns", "exec", name)
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
        with server(inside=inside) as made, _started(tmp_path, made.url(), "worker", inside=inside) as process:
            _heard(process, "worker")
            subprocess.run([*inside, "ip", "link", "set", "lo", "down"], check=True)
            cut = time.monotonic()
            _, err = process.communicate(timeout=_SECONDS)
            assert process.returncode == 130
            assert re.search("others take its moves up", err)
            assert time.monotonic() - cut < _SECONDS
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
