"""One truth about which disk is whose: moves, instances files, the check and the orphans of the same disks."""

import contextlib
import json
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cpi.contract.ids import DiskCid
from tests.cli.conftest import Command
from tests.dying_processes import DIED, dying_processes
from tests.resurrection.deployment import Deployment, Instance, deployment_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A local cloud of its own."""
    with deployment_in(tmp_path) as made:
        yield made


def _wish(deployment: Deployment, one: Instance) -> tuple[object, ...]:
    wish = ("migrate", "--config", deployment.config, "--vm", one.first_vm, "--disk", one.disk_cid, "--size", "96M")
    return (*wish, "--strategy", "copy")


def _moved(cpi: Command, deployment: Deployment, one: Instance) -> tuple[DiskCid, str]:
    """The old disk, and what was told beside the result."""
    old = one.disk_cid
    done = cpi(*_wish(deployment, one), "--json")
    assert done.returncode == 0, done.stderr
    one.disk_cid = DiskCid(json.loads(done.stdout)["disk_cid"])
    assert one.disk_cid != old
    one.writer.wait_for_more(3)
    return old, done.stderr


@pytest.mark.parametrize("state", ["same", "other"])
def test_a_recreated_vm_gets_the_disk_that_a_move_put_in_the_old_ones_place(
    deployment: Deployment, cpi: Command, tmp_path: Path, state: str
) -> None:
    """By the moves' records, and by the tags of the disk where the database is another; the file still names the old disk."""
    one = deployment.add("db/0")
    file = deployment.file
    old, _ = _moved(cpi, deployment, one)
    deployment.hurt(one, "gone")
    folder = {} if state == "same" else {"XDG_STATE_HOME": str(tmp_path / "other")}
    done = cpi("resurrect", file, "db/0", **folder)
    assert (done.returncode, done.stdout) == (0, f"db/0 is now {deployment.vm_of(one)}\n"), done.stderr
    deployment.assert_well(one)
    assert deployment.disks() == {old, one.disk_cid}


def test_a_check_takes_the_disk_in_use_for_the_right_one_and_leaves_the_orphan_alone(
    deployment: Deployment, cpi: Command
) -> None:
    """After a move nothing is wrong; the orphan, attached by somebody, is what is wrong, and never mounted."""
    one = deployment.add("db/0")
    file = deployment.file
    assert cpi("check", file).returncode == 0
    old, told = _moved(cpi, deployment, one)
    assert f"{file} (db/0) still names {old}" in told
    assert cpi("check", file).stdout == "no problems found\n"
    deployment.cloud.attach_disk(one.first_vm, old)
    (found,) = json.loads(cpi("check", file, "--json").stdout)
    assert (found["problem"], found["disk"]) == ("inactive disk", old)
    assert cpi("check", file, "--auto").returncode == 1
    deployment.assert_well_but_for(one, {old})
    assert json.loads(cpi("orphans", "--config", deployment.config, "--older-than", "0h", "--json").stdout) == []
    deployment.cloud.detach_disk(one.first_vm, old)


def test_orphans_are_deleted_only_when_they_are_old_unnamed_and_it_is_wished(deployment: Deployment, cpi: Command) -> None:
    """Not by default, not without a yes, not while a file names them; then really."""
    one = deployment.add("db/0")
    file = deployment.file
    assert cpi("check", file).returncode == 0
    old, _ = _moved(cpi, deployment, one)
    orphans = ("orphans", "--config", deployment.config)
    young = cpi(*orphans, "--delete", "--yes", "--json")
    assert (young.returncode, json.loads(young.stdout), "1 younger than 1d" in young.stderr) == (0, [], True)
    named = cpi(*orphans, "--older-than", "0h", "--delete", "--yes", "--json")
    (orphan,) = json.loads(named.stdout)
    assert (orphan["disk_cid"], orphan["named_by"]) == (old, [str(file)])
    assert f"kept: {old} is named by {file}" in named.stderr
    assert deployment.file == file  # written anew, with the disk that it is now
    unasked = cpi(*orphans, "--older-than", "0h", "--delete")
    assert (unasked.returncode, "confirm with --yes" in unasked.stderr) == (1, True)
    assert deployment.disks() == {old, one.disk_cid}
    done = cpi(*orphans, "--older-than", "0h", "--delete", "--yes")
    assert (done.returncode, f"deleted {old}" in done.stderr) == (0, True), done.stderr
    deployment.assert_well(one)
    deployment.assert_nothing_left_over()


def _break_a_record(deployment: Deployment) -> None:
    """Somebody has written into the database of the moves."""
    kept = deployment.folder / ".local" / "state" / "multicpi" / "moves.sqlite"
    with contextlib.closing(sqlite3.connect(kept)) as connection, connection:
        connection.row_factory = sqlite3.Row
        row = dict(connection.execute("SELECT * FROM workflow_status WHERE name = 'move'").fetchone())
        row |= {"workflow_uuid": "broken", "inputs": "garbage"}
        statement = f"INSERT INTO workflow_status ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"  # noqa: S608 - names of columns
        connection.execute(statement, list(row.values()))


def _said_by_watch(deployment: Deployment, file: Path, count: int) -> list[str]:
    """The first lines beside its result."""
    program = str(Path(sys.executable).with_name("cpi"))
    variables = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(deployment.folder), "COLUMNS": "200"}
    process = subprocess.Popen([program, "watch", str(file)], env=variables, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        return [process.stderr.readline() for _ in range(count)]
    finally:
        process.kill()
        process.communicate()


def test_what_still_says_the_old_disk_and_what_cannot_be_read_is_named(deployment: Deployment, cpi: Command) -> None:
    """At the end of a fleet, by the check, and when a watch begins."""
    one = deployment.add("db/0")
    file, old = deployment.file, one.disk_cid
    assert cpi("check", file).returncode == 0
    fleet = deployment.folder / "fleet.yml"
    entry = {"config": str(deployment.config), "vm": one.first_vm, "disk": old, "size": "96M", "strategy": "copy"}
    fleet.write_text(json.dumps({"moves": [entry]}))
    page = deployment.folder / "fleet.html"
    moved = cpi("migrate", "--fleet", fleet, "--page", page, "--json")
    assert f"{file} (db/0) still names {old}" in moved.stderr
    (one.disk_cid,) = deployment.disks() - {old}
    report = json.loads(moved.stdout)
    (row,) = report["moves"]
    assert (row["disk"], row["new_disk"], row["standing"]) == (old, one.disk_cid, "moved")
    assert page.read_text().count(one.disk_cid) >= 1
    shown = cpi("migrations", "show", report["fleet_id"])
    assert "1 moved, 0 failed, 0 not started" in shown.stdout
    stale = f"{file} (db/0) still names {old}, which a move has replaced; change it to {one.disk_cid}\n"
    _break_a_record(deployment)
    broken = "left out: the record broken cannot be read: "
    told = cpi("check", file)
    assert (told.stdout, stale in told.stderr, broken in told.stderr) == ("no problems found\n", True, True)
    watched = _said_by_watch(deployment, file, 2)
    assert (watched[0], watched[1][: len(broken)]) == (stale, broken)
    deployment.assert_well(one)


def _move_left_in_the_middle(deployment: Deployment, one: Instance) -> str:
    """The id of a move whose process died when the new disk had been made."""
    state = deployment.folder / ".local" / "state" / "multicpi"  # where commands look whose home this is
    state.mkdir(parents=True, exist_ok=True)
    move_id = uuid.uuid4().hex[:12]
    entry = {"config": str(deployment.config), "vm": one.first_vm, "disk": one.disk_cid, "size": 96, "strategy": "copy"}
    with dying_processes("tests.crash.dying_mover") as processes:
        died = processes.run(
            folder=str(deployment.folder),
            database=f"sqlite:///{state}/moves.sqlite",
            move_id=move_id,
            entry=entry,
            at="create_disk",
            when="after",
        )
    assert died["status"] == DIED, died
    return move_id


def test_a_disk_that_a_move_has_in_hand_is_in_no_other(deployment: Deployment, cpi: Command) -> None:
    """A move that was left in the middle: its VM is neither recreated nor mended by the check before it is taken up."""
    one = deployment.add("db/0")
    file = deployment.file
    move_id = _move_left_in_the_middle(deployment, one)
    refused = cpi("resurrect", file, "db/0", "--even-if-alive")
    assert refused.returncode == 1
    assert f"cpi migrate --resume {move_id}" in refused.stderr
    assert deployment.vm_of(one) == one.first_vm
    resumed = cpi("migrate", "--resume", move_id, "--json")
    assert resumed.returncode == 0, resumed.stderr
    one.disk_cid = DiskCid(json.loads(resumed.stdout)["disk_cid"])
    done = cpi("resurrect", file, "db/0", "--even-if-alive")
    assert done.returncode == 0, done.stderr
    assert deployment.vm_of(one) != one.first_vm
    deployment.assert_well(one)


def test_a_half_made_disk_of_a_lost_vm_is_known_until_the_resume_frees_it(deployment: Deployment, cpi: Command) -> None:
    """The process and the VM die in the middle: the disk is listed, and the resume says that the VM is gone."""
    one = deployment.add("db/0")
    move_id = _move_left_in_the_middle(deployment, one)
    orphans = ("orphans", "--config", deployment.config, "--older-than", "0h")
    (made,) = deployment.disks() - {one.disk_cid}
    (found,) = json.loads(cpi(*orphans, "--json").stdout)
    assert (found["disk_cid"], found["half_made"], found["replaced_by"]) == (made, True, one.disk_cid)
    kept = cpi(*orphans, "--delete", "--yes")
    assert f"kept: {made} is named by the move {move_id}" in kept.stderr
    deployment.hurt(one, "gone")
    resumed = cpi("migrate", "--resume", move_id)
    assert resumed.returncode == 1
    assert f"the VM {one.first_vm} is gone" in resumed.stderr
    assert deployment.disks() == {one.disk_cid}, resumed.stderr
    assert json.loads(cpi(*orphans, "--json").stdout) == []
    done = cpi("resurrect", deployment.file, "db/0")
    assert done.returncode == 0, done.stderr
    deployment.assert_well(one)
