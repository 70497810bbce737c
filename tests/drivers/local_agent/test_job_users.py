"""Jobs whose monit files name a user: they run as that user, in folders that lead through those of root alone."""

import json
from pathlib import Path

import psutil
import pytest

from cpi_drivers.local.agent import users
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.monit import Program
from tests.drivers.local_agent.conftest import MakeVm
from tests.drivers.local_agent.loops import Loop
from tests.drivers.local_agent.releases import spec_of
from tests.drivers.local_agent.vm import AgentSaysNoError, Vm, eventually

pytestmark = pytest.mark.root
_CTL = """#!/bin/bash
set -e
run=/var/vcap/sys/run/web
case $1 in
  start)
    cat /var/vcap/jobs/web/config/words >$run/read
    echo kept >/var/vcap/store/web/file
    sleep 86400 &
    echo $! >$run/web.pid ;;
  stop) id -u >$run/stopped_by; kill $(cat $run/web.pid) ;;
esac
"""
_PRE_START = """#!/bin/bash
set -e
mkdir -p /var/vcap/store/web
chown nobody /var/vcap/sys/run/web /var/vcap/store/web
"""
_MONIT = """
check process web
  with pidfile /var/vcap/sys/run/web/web.pid
  start program "/var/vcap/jobs/web/bin/ctl start" as uid nobody and using gid nogroup
  stop program "/var/vcap/jobs/web/bin/ctl stop" as uid nobody
"""
_FILES = {"web/bin/ctl": _CTL, "web/bin/pre-start": _PRE_START, "web/config/words": "words", "web/monit": _MONIT}
_NOBODY = 65534


@pytest.mark.parametrize("backing", ["none", "device", "folder"])
def test_a_program_runs_as_the_user_that_its_monit_file_names(make_vm: MakeVm, tmp_path: Path, backing: str) -> None:
    """It reads its job, writes where it may, also to a disk, and is stopped by its own user. Then the disk can be detached."""
    loop = Loop(tmp_path / "image", 64) if backing == "device" else None
    try:
        _live(make_vm(), tmp_path, loop, backing)
    finally:
        if loop is not None:
            loop.close()


def _live(vm: Vm, tmp_path: Path, loop: Loop | None, backing: str) -> None:
    folder = tmp_path / "disk" / "data"
    folder.mkdir(parents=True)
    (vm.path / "launch.json").write_text(json.dumps({"isolate_mounts": True}))
    vm.path.chmod(0o700)
    if backing != "none":
        vm.attach({"disk-1": {"path": loop.device if loop else str(folder)}})
    vm.start()
    if backing != "none":
        vm.done("mount_disk", "disk-1")
    assert vm.done("apply", spec_of(vm, _FILES)) == "applied"
    vm.done("run_script", "pre-start", {})
    assert vm.call("start") == "started"
    vm.wait_for_job_state("running")
    run = vm.root / "var/vcap/sys/run/web"
    process = psutil.Process(int((run / "web.pid").read_text()))
    assert set(process.uids()) == set(process.gids()) == {_NOBODY}
    assert [line.split()[1:] for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "Groups:" in line] == [
        [str(_NOBODY)]
    ]
    assert (run / "read").read_text() == "words"
    assert Path(f"/proc/{vm.pid}/root{vm.store}/web/file").read_text() == "kept\n"
    assert vm.done("stop") == "stopped"
    assert (run / "stopped_by").read_text().strip() == str(_NOBODY)
    eventually(lambda: not process.is_running(), vm.log)
    if backing != "none":
        vm.done("unmount_disk", "disk-1")
        assert vm.done("list_disk") == []
        assert not (vm.store / "web").exists()


@pytest.mark.parametrize(("words", "why"), [("uid nobody-here", "no user nobody-here"), ("gid none-here", "no group none-here")])
def test_a_user_that_is_not_there_is_refused_when_the_job_is_applied(make_vm: MakeVm, words: str, why: str) -> None:
    """Before anything runs."""
    vm = make_vm()
    (vm.path / "launch.json").write_text(json.dumps({"isolate_mounts": True}))
    vm.start()
    with pytest.raises(AgentSaysNoError, match=f"the monit file of job web: there is {why} on this machine"):
        vm.done("apply", spec_of(vm, {**_FILES, "web/monit": _MONIT.replace("uid nobody and using gid nogroup", words)}))


def test_a_user_by_number_needs_no_name_but_then_a_group() -> None:
    """As monit takes them."""
    assert users.command_of(Program(("/x",), user="54321", group="7"), "monit")[-4:] == ("54321", "7", "", "/x")
    with pytest.raises(Fault, match="no user 54321"):
        users.command_of(Program(("/x",), user="54321"), "monit")


def test_the_group_vcap_writes_to_a_jobs_folders_and_reads_its_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a stemcell; here a group that this machine has stands for it."""
    monkeypatch.setattr(users, "VCAP", "nogroup")
    for name in ("web/bin/ctl", "web/config/words", "log"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o644)
    users.let_read(tmp_path / "web")
    folder = tmp_path / "run"
    folder.mkdir()
    users.share(folder)
    modes = {
        str(path.relative_to(tmp_path)): (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o7777)
        for path in tmp_path.rglob("*")
    }
    assert modes.pop("log") == (0, 0, 0o644)
    assert modes.pop("run") == (0, _NOBODY, 0o770)
    assert modes.pop("web/config/words") == (0, _NOBODY, 0o640)
    assert set(modes.values()) == {(0, _NOBODY, 0o750)}
