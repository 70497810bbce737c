"""Moves whose process is told to stop: once, twice, or by a database that does not know it any more."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from cpi.cli import fleets
from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.durable.database import database
from cpi.kit.waiting import wait_until
from cpi.migration.durable import workflow
from cpi.migration.durable.book import Book
from cpi.migration.durable.entry import Entry
from cpi.migration.durable.records import Standing
from cpi.migration.durable.workflow import open_book
from cpi.migration.fleet import Fleet
from tests.cli.conftest import Command
from tests.migration.database_vm import DatabaseVm, database_vms

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

_SECONDS = 60.0


@pytest.fixture
def vm(tmp_path: Path, config: Path) -> Iterator[DatabaseVm]:
    """A VM with a disk of 64 MiB, whose job can be stopped once the file `go` is there."""
    with database_vms(tmp_path, json.loads(config.read_text())) as make:
        made = make(64, 1)
        (job,) = made.spec["jobs"]
        wait = f"while [ ! -e {shlex.quote(str(tmp_path / 'go'))} ]; do sleep 0.1; done; echo 0"
        made.agent.apply({"jobs": [{**job, "drain": {"command": ["sh", "-c", wait, "drain"]}}]})
        yield made


@contextlib.contextmanager
def _started(folder: Path, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    command = [str(Path(sys.executable).with_name("cpi")), *map(str, arguments)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "200"}
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _heard(process: "subprocess.Popen[str]", words: str) -> str:
    """The line of stderr that has these words in it."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            return line
    pytest.fail(f"{words!r} was not said: {said}")


def _moving(folder: Path, config: Path, vm: DatabaseVm) -> Any:
    wish = ("--config", config, "--vm", vm.vm_cid, "--disk", vm.disk_cid, "--size", "96M", "--strategy", "copy")
    return _started(folder, "migrate", *wish)


def test_the_first_signal_undoes_the_move(config: Path, vm: DatabaseVm, tmp_path: Path) -> None:
    """The step that is under way ends, and then all is as before."""
    with _moving(tmp_path, config, vm) as process:
        _heard(process, "stop the jobs")
        process.send_signal(signal.SIGINT)
        _heard(process, "cancelling")
        (tmp_path / "go").touch()
        out, err = process.communicate(timeout=_SECONDS)
    assert (process.returncode, out) == (1, "")
    assert "was cancelled" in err
    vm.assert_well()
    assert vm.disks() == {vm.disk_cid}


def test_the_second_signal_leaves_the_move_and_resuming_it_goes_on(
    config: Path, vm: DatabaseVm, tmp_path: Path, cpi: Command
) -> None:
    """Though the first one had asked for it to be given up."""
    with _moving(tmp_path, config, vm) as process:
        move_id = _heard(process, "move ").split()[1]
        _heard(process, "stop the jobs")
        process.send_signal(signal.SIGINT)
        _heard(process, "cancelling")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=_SECONDS)
    assert process.returncode == 130
    assert f"cpi migrate --resume {move_id}" in err
    (shown,) = json.loads(cpi("migrations", "--json").stdout)
    assert (shown["standing"], shown["cancelling"]) == ("left", True)
    (tmp_path / "go").touch()
    resumed = cpi("migrate", "--resume", move_id, "--json")
    assert resumed.returncode == 0, resumed.stderr
    vm.disk_cid = json.loads(resumed.stdout)["disk_cid"]
    vm.assert_well()
    assert "moved" in cpi("migrations", "--follow").stdout


def test_a_worker_leaves_ends_and_takes_up_what_others_left(config: Path, vm: DatabaseVm, tmp_path: Path, cpi: Command) -> None:
    """Told twice it leaves its move, told once it ends it and begins no other; the fleet is looked after by the next one."""
    _order(tmp_path, config, vm, cpi)
    with contextlib.closing(open_book(database(f"sqlite:///{tmp_path}/.local/state/multicpi/moves.sqlite"))) as book:

        def standings() -> list[Standing]:
            return [record.standing for record in book.moves()]

        with _started(tmp_path, "worker") as first:
            wait_until(lambda: _is_at("stop_jobs", book), "the move is under way", deadline_seconds=_SECONDS)
            first.send_signal(signal.SIGTERM)
            _heard(first, "taking no more moves")
            first.send_signal(signal.SIGTERM)
            assert first.wait(_SECONDS) == 130
        assert standings() == [Standing.LEFT]
        with _started(tmp_path, "worker") as second:
            wait_until(lambda: standings() == [Standing.UNDER_WAY], "it is taken up", deadline_seconds=_SECONDS)
            second.send_signal(signal.SIGTERM)
            _heard(second, "taking no more moves")
            (tmp_path / "go").touch()
            assert second.wait(_SECONDS) == 0
        assert standings() == [Standing.MOVED]
        vm.disk_cid = _new_disk(book)
        vm.assert_well()
        with _started(tmp_path, "worker"):
            wait_until(lambda: standings() == [Standing.MOVED, Standing.FAILED], "all have ended", deadline_seconds=_SECONDS)


def _order(folder: Path, config: Path, vm: DatabaseVm, cpi: Command) -> None:
    """Two moves, one after the other; of the second there is no VM."""
    moves = [{"vm": str(vm.vm_cid), "disk": str(vm.disk_cid)}, {"vm": "vm-0", "disk": "disk-0"}]
    file = folder / "fleet.yml"
    file.write_text(json.dumps({"defaults": {"config": str(config), "size": "96M", "strategy": "copy"}, "moves": moves}))
    done = cpi("migrate", "--fleet", file, "--queue-only", "--max-in-flight", "1")
    assert done.returncode == 0, done.stderr


def _is_at(step: str, book: Book) -> bool:
    return any(record.events and record.events[-1]["step"] == step for record in book.moves())


def _new_disk(book: Book) -> DiskCid:
    (record,) = book.moves()
    assert record.outcome is not None
    assert record.outcome.report is not None
    return record.outcome.report.disk_cid


def test_a_worker_whose_database_takes_it_for_dead_ends_at_once(postgres: str, tmp_path: Path) -> None:
    """Others may have its moves by then."""
    with _started(tmp_path, "worker", "--database", postgres) as process:
        _heard(process, "worker")
        with psycopg.connect(postgres, autocommit=True) as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'multicpi locks'"
            )
            assert ended.fetchall() == [(True,)]
        _, err = process.communicate(timeout=_SECONDS)
    assert process.returncode == 130
    assert "another process takes over the moves" in err


def test_a_fleet_that_ended_by_a_fault_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no report of it, and there will be none."""
    monkeypatch.setattr(workflow, "_fleet_moved", lambda *_: json.loads("no report"))
    monkeypatch.setattr(fleets, "Stopping", lambda _: SimpleNamespace(asked=False))
    fleet = Fleet((Entry("/c", VmCid("vm"), DiskCid("disk"), MiB(1)),))
    with pytest.raises(errors.CloudError, match="has ended without a report"):
        fleets.move_fleet(fleet, f"sqlite:///{tmp_path}/state/moves", None, works=True, as_json=False)
