"""The commands of durable moves, from the outside."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli.conftest import Command
from tests.migration.database_vm import DatabaseVm, database_vms

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def vm(tmp_path: Path, config: Path) -> Iterator[DatabaseVm]:
    """A VM with a disk of 64 MiB on the cloud of the configuration."""
    with database_vms(tmp_path, json.loads(config.read_text())) as make:
        yield make(64, 1)


def test_a_disk_is_moved_shown_and_its_orphan_deleted(cold_cpi: Command, cpi: Command, config: Path, vm: DatabaseVm) -> None:
    """migrate, migrations, orphans: figures on stdout, and nothing else vm."""
    old = vm.disk_cid
    wish = ("migrate", "--config", config, "--vm", vm.vm_cid, "--disk", old, "--size", "96M", "--strategy", "copy")
    picture = config.parent / "move.svg"
    moved = cold_cpi(*wish, "--json", "--picture", picture)
    assert moved.returncode == 0, moved.stderr
    report = json.loads(moved.stdout)
    assert ET.parse(picture).getroot().get("role") == "img"  # noqa: S314 - our own document
    vm.disk_cid = report["disk_cid"]
    vm.assert_well()
    (shown,) = json.loads(cold_cpi("migrations", "--json").stdout)
    assert (shown["move_id"], shown["standing"]) == (report["move_id"], "moved")
    assert "moved" in cpi("migrations").stdout
    told = cold_cpi("migrations", "show", report["move_id"], "--picture", config.parent / "again.svg").stdout
    assert "stop the jobs" in told
    assert (config.parent / "again.svg").read_bytes() == picture.read_bytes()
    assert json.loads(cpi("orphans", "--config", config, "--json").stdout) == []
    orphans = ("orphans", "--config", config, "--older-than", "0h")
    (orphan,) = json.loads(cold_cpi(*orphans, "--json").stdout)
    assert (orphan["disk_cid"], orphan["replaced_by"]) == (old, vm.disk_cid)
    elsewhere = config.rename(config.with_name("elsewhere.json"))
    unknown = cpi("orphans", "--config", elsewhere, "--older-than", "0h", "--json")
    assert (json.loads(unknown.stdout), f"not shown: {old}, whose cloud is unknown" in unknown.stderr) == ([], True)
    elsewhere.rename(config)
    assert cpi(*orphans, "--delete", "--yes").returncode == 0
    assert vm.disks() == {vm.disk_cid}
    assert json.loads(cpi(*orphans, "--json").stdout) == []


def test_a_dry_run_foretells_from_a_sample_and_changes_nothing(cpi: Command, config: Path, vm: DatabaseVm) -> None:
    """The plan and its reason, what is on the disk, and how long the jobs would be down; for people and for programs."""
    wish = ("migrate", "--config", config, "--vm", vm.vm_cid, "--disk", vm.disk_cid, "--size", "96M", "--dry-run")
    told = json.loads(cpi(*wish, "--json").stdout)
    assert (told["strategy"], told["steps"][-1]) == ("live_copy", "mark the old disk as an orphan")
    assert told["sample"]["size"] > 1 << 20
    assert told["sample"]["changed_files"] >= 1
    assert 0 < told["sample"]["answer_seconds"] < told["expected_down_seconds"] < told["expected_seconds"]
    shown = cpi(*wish).stdout
    assert re.search(r"on the disk: \d+ files with .* changed within 3 s", shown)
    assert re.search(r"expected downtime: about [0-9.]+ s", shown)
    copied = cpi(*wish, "--strategy", "native_resize").stdout
    assert "expected downtime: unknown (it depends on the cloud)" in copied
    vm.assert_well()
    assert vm.disks() == {vm.disk_cid}


def test_a_move_that_can_not_be_is_told_in_red_and_kept(cpi: Command, config: Path, vm: DatabaseVm) -> None:
    """Exit status 1, the reason on stderr, stdout empty; the list has it."""
    wish = ("migrate", "--config", config, "--vm", vm.vm_cid, "--disk", vm.disk_cid, "--size", "32M")
    refused = cpi(*wish, "--old-size", "64M", "--old-properties", "{}", "--strategy", "native_resize")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no cloud shrinks a disk" in refused.stderr
    assert "refused" in cpi("migrations").stdout
    vm.assert_well()


def test_a_worker_on_a_file_that_is_no_database_ends_with_a_sentence(cpi: Command, tmp_path: Path) -> None:
    """And leaves the file as it is."""
    file = tmp_path / "precious"
    file.write_text("something else\n")
    done = cpi("worker", "--database", f"sqlite:///{file}")
    assert (done.returncode, done.stdout) == (1, "")
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr
    assert file.read_text() == "something else\n"


def test_where_no_state_can_be_kept_the_way_out_is_named(cpi: Command, config: Path) -> None:
    """A home that cannot be written to: no trace, and the option that helps."""
    wish = ("migrate", "--config", config, "--vm", "v", "--disk", "d", "--size", "1G")
    for command in (wish, ("worker",)):
        done = cpi(*command, XDG_STATE_HOME="/dev/null")
        assert (done.returncode, done.stdout) == (1, "")
        assert "cannot be created: Not a directory; choose another place with --database" in done.stderr
        assert "Traceback" not in done.stderr


def test_what_is_missing_is_named_at_once(cpi: Command) -> None:
    """And a password is not taken on the command line, for it would be kept."""
    done = cpi("migrate", "--vm", "vm-1", "--size", "1G")
    assert (done.returncode, "missing: --config, --disk" in done.stderr) == (1, True)
    wish = ("migrate", "--config", "c.json", "--vm", "v", "--disk", "d", "--size", "1G")
    done = cpi(*wish, "--agent-url", "https://user:secret-word@host:6868")
    assert done.returncode == 1
    assert "agent-login" in done.stderr or "agent.login" in done.stderr
    assert "secret-word" not in done.stderr


def test_every_fault_of_a_fleet_file_is_told_at_once(cpi: Command, tmp_path: Path) -> None:
    """With the number of its entry."""
    file = tmp_path / "fleet.yml"
    entry = "{config: /c.json, vm: v, disk: d, size: 1G}"
    file.write_text(f"moves:\n- {{vm: v, disk: d, size: big, colour: red}}\n- {entry}\n- {entry}\n- 7\nextra: 1\n")
    done = cpi("migrate", "--fleet", file)
    assert done.returncode == 1
    for fault in (
        "extra: unknown key", "moves[1]: colour: unknown key", "moves[1]: config: is missing",
        "moves[1]: size: invalid size 'big'", "disk d: named by two entries", "moves[4]: expected an object",
    ):  # fmt: skip
        assert fault in done.stderr


def test_a_killed_move_is_shown_as_left_and_resumed(
    cpi: Command, config: Path, vm: DatabaseVm, tmp_path: Path, wait: Callable[[Callable[[], bool]], None]
) -> None:
    """kill -9 of `cpi migrate`: the list says so, and --resume gets it to its end."""
    command = [str(Path(sys.executable).with_name("cpi")), "migrate", "--config", str(config), "--vm", vm.vm_cid]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    with subprocess.Popen(
        [*command, "--disk", vm.disk_cid, "--size", "96M", "--strategy", "copy"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        move_id = process.stderr.readline().split()[1]
        wait(lambda: "stop the jobs" in process.stderr.readline() if process.stderr else False)
        process.send_signal(signal.SIGKILL)
    assert "left" in cpi("migrations").stdout
    resumed = cpi("migrate", "--resume", move_id, "--json")
    assert resumed.returncode == 0, resumed.stderr
    vm.disk_cid = json.loads(resumed.stdout)["disk_cid"]
    vm.assert_well()
    again = cpi("migrate", "--resume", move_id, "--json")
    assert (again.returncode, json.loads(again.stdout)) == (0, json.loads(resumed.stdout))
    assert "already complete; nothing to resume" in again.stderr


@pytest.fixture
def wait() -> Callable[[Callable[[], bool]], None]:
    """Until something is true."""

    def until(come: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not come():
            assert time.monotonic() < end

    return until
