"""How a VM comes to be of a process group, and how it ends."""

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cpi_drivers.local.agent import launcher
from tests.drivers.local_agent.conftest import MakeVm
from tests.drivers.local_agent.vm import Vm, eventually, lives


def _launch_json(vm: Vm, **what: object) -> None:
    (vm.path / "launch.json").write_text(json.dumps({"isolate_mounts": False, "overlay": None, "command": None, **what}))


def test_the_lock_tells_the_group(vm: Vm) -> None:
    """It is held, and holds the id of the group that the agent leads, in a session of its own."""
    assert vm.is_alive()
    assert os.getpgid(vm.pid) == os.getsid(vm.pid) == vm.pid
    assert stat.S_IMODE((vm.path / "agent.lock").stat().st_mode) == 0o600


def test_a_second_start_is_refused(vm: Vm) -> None:
    """One agent per VM; the first goes on."""
    again = vm.launch()
    assert (again.returncode, again.stderr) == (
        1,
        f"the agent cannot start: {vm.path}: the VM is running already: its agent.lock is held\n",
    )
    assert vm.call("ping") == "pong"


def test_a_probe_of_the_lock_does_not_stop_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks if the VM lives holds the lock for an instant: here, until the start has met it once."""
    take, answers = launcher._taken, []
    with (tmp_path / "agent.lock").open("a") as probe:
        fcntl.flock(probe, fcntl.LOCK_SH)

        def meet(lock: int) -> bool:
            answers.append(take(lock))
            fcntl.flock(probe, fcntl.LOCK_UN)
            return answers[-1]

        monkeypatch.setattr(launcher, "_taken", meet)
        os.close(launcher._locked(str(tmp_path)))
    assert answers == [False, True]


def test_a_missing_folder_is_refused(make_vm: MakeVm) -> None:
    """With the folder's name, and without a trace."""
    vm = make_vm()
    command = [sys.executable, "-m", "cpi_drivers.local.agent", "--vm-dir", str(vm.path / "nowhere")]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"the agent cannot start: {vm.path}/nowhere: [Errno 2]")
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("", "settings.json: Expecting value"),
        ("{}", "it has no agent_id"),
        ('{"agent_id": "a"}', "the settings name no mbus"),
        ('{"agent_id": "a", "mbus": "https://u:p@127.0.0.1:1"}', "env.bosh.mbus.cert must hold certificate and private_key"),
        ('{"agent_id": "a", "env": {"bosh": {"mbus": {"urls": ["x"], "cert": {}}}}}', "knows an mbus of the form"),
    ],
)
def test_settings_that_can_not_be_used_end_it(make_vm: MakeVm, settings: str, said: str) -> None:
    """The log says what is wrong with them, and the lock is free."""
    vm = make_vm()
    (vm.path / "settings.json").write_text(settings)
    vm.launch()
    vm.wait_until_gone()
    assert said in vm.log()
    assert "Traceback" not in vm.log()


def test_a_certificate_that_is_none_ends_it(make_vm: MakeVm) -> None:
    """As does any other fault of the settings."""
    vm = make_vm()
    settings = (vm.path / "settings.json").read_text().replace("BEGIN CERTIFICATE", "BEGIN NONSENSE")
    (vm.path / "settings.json").write_text(settings)
    vm.launch()
    vm.wait_until_gone()
    assert "the certificate in env.bosh.mbus.cert cannot be used" in vm.log()


def test_an_address_in_use_ends_it(vm: Vm, make_vm: MakeVm) -> None:
    """The log names it."""
    other = make_vm()
    other.port = vm.port
    other.write_settings({})
    other.launch()
    other.wait_until_gone()
    assert f"cannot listen at 127.0.0.1:{vm.port}: [Errno" in other.log()


def test_a_stemcell_can_not_lead_out_of_the_root(make_vm: MakeVm, tmp_path: Path) -> None:
    """An absolute link in it would have the VM write to the host."""
    vm = make_vm()
    (vm.root / "var/vcap").mkdir(parents=True)
    (vm.root / "var/vcap/sys").symlink_to(tmp_path)
    vm.launch()
    vm.wait_until_gone()
    assert "leads out of the VM's root" in vm.log()


def test_sigterm_stops_the_jobs_and_ends_it(vm: Vm) -> None:
    """In order: what depends on another is stopped before it."""
    order = vm.path / "order"
    script = (
        f"trap 'echo $BOSH_JOB_NAME >> {order}; exit 0' TERM; touch {vm.path}/$BOSH_JOB_NAME.hears; while :; do sleep 0.05; done"
    )
    vm.run_jobs(
        {"name": "first", "command": ["sh", "-c", script]},
        {"name": "second", "command": ["sh", "-c", script], "depends_on": ["first"]},
    )
    vm.wait_for_job_state("running")
    eventually(lambda: len(list(vm.path.glob("*.hears"))) == 2, vm.log)
    os.kill(vm.pid, signal.SIGTERM)
    vm.wait_until_gone()
    assert order.read_text().split() == ["second", "first"]
    vm.start()
    vm.wait_for_job_state("running")


def test_shutdown_ends_the_vm_once_it_was_answered(vm: Vm) -> None:
    """As a machine that is switched off; it can be started again, with its jobs."""
    vm.run_jobs({"name": "steady", "command": ["sleep", "60"]})
    assert vm.call("shutdown") == ""
    vm.wait_until_gone()
    vm.start()
    vm.wait_for_job_state("running")


def test_losing_the_group_loses_every_process(vm: Vm) -> None:
    """Jobs and what they started go with the agent, and the lock is free."""
    vm.run_jobs({"name": "family", "command": ["sh", "-c", "sleep 61 & sleep 62"]})
    vm.wait_for_job_state("running")
    family = eventually(lambda: found if len(found := psutil.Process(vm.pid).children(recursive=True)) == 3 else [], vm.log)
    vm.lose()
    eventually(lambda: not any(lives(process) for process in family), lambda: f"left: {family}")


def test_an_agent_that_is_killed_alone_leaves_its_jobs(vm: Vm) -> None:
    """That is an unresponsive agent: the VM lives, its jobs run on, and a reboot ends them and starts them anew."""
    vm.run_jobs({"name": "orphan", "command": ["sleep", "60"]})
    vm.wait_for_job_state("running")
    (job,) = psutil.Process(vm.pid).children()
    os.kill(vm.pid, signal.SIGKILL)
    eventually(lambda: job.ppid() != vm.pid, lambda: "the agent is still there")
    assert vm.is_alive()
    assert os.getpgid(job.pid) == vm.pid
    vm.reboot()
    eventually(lambda: not lives(job), lambda: "the orphan is still there")
    vm.wait_for_job_state("running")


def test_a_vm_whose_folder_is_gone_ends(vm: Vm) -> None:
    """With its jobs: nobody could stop them any more."""
    vm.run_jobs({"name": "steady", "command": ["sleep", "60"]})
    vm.wait_for_job_state("running")
    whole = [psutil.Process(vm.pid), *psutil.Process(vm.pid).children()]
    shutil.rmtree(vm.path)
    eventually(lambda: not any(lives(process) for process in whole), lambda: f"left: {whole}")


def test_a_large_log_is_moved_aside(make_vm: MakeVm) -> None:
    """One older log is kept."""
    vm = make_vm()
    (vm.path / "agent.log").write_bytes(b"x" * (11 * 1024 * 1024))
    vm.start()
    assert (vm.path / "agent.log.1").stat().st_size == 11 * 1024 * 1024
    assert "listening at" in vm.log()[:200]


def test_another_agent_takes_its_place(make_vm: MakeVm) -> None:
    """agent.command is the VM's first process, with its placeholders filled, holding the lock."""
    vm = make_vm()
    script = "echo $0 $1 $2 > $0/seen; exec sleep 60"
    _launch_json(vm, command=["sh", "-c", script, "{vm_dir}", "{settings}", "id={agent_id}"])
    assert vm.launch().returncode == 0
    seen = vm.path / "seen"
    eventually(lambda: seen.exists() and seen.read_text(), vm.log)
    assert seen.read_text().split() == [str(vm.path), f"{vm.path}/settings.json", "id=11111111-2222-3333-4444-555555555555"]
    assert vm.is_alive()
    assert psutil.Process(vm.pid).name() in {"sh", "sleep"}


@pytest.mark.parametrize("launch", ["[]", "{", '{"command": ["/nowhere/agent"]}'])
def test_a_launch_that_can_not_be_is_refused(make_vm: MakeVm, launch: str) -> None:
    """At once, with the reason, and nothing is left running."""
    vm = make_vm()
    (vm.path / "launch.json").write_text(launch)
    refused = vm.launch()
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"the agent cannot start: {vm.path}: ")
    vm.wait_until_gone()


@pytest.mark.root
def test_an_overlay_is_seen_by_the_vm_alone(make_vm: MakeVm, tmp_path: Path) -> None:
    """The stemcell's content is the VM's root; what the VM writes there stays over a reboot and leaves the stemcell as it was."""
    stemcell = tmp_path / "a stemcell, with: odd name"
    (stemcell / "etc").mkdir(parents=True)
    (stemcell / "etc/issue").write_text("stemcell\n")
    vm = make_vm()
    _launch_json(vm, isolate_mounts=True, overlay={"lower": str(stemcell)})
    vm.start()
    job = "cat etc/issue >> changed; cat changed > $BOSH_ROOT/../seen; exec sleep 60"
    vm.run_jobs({"name": "writer", "command": ["sh", "-c", job]})
    eventually(lambda: (vm.path / "seen").exists() and (vm.path / "seen").read_text() == "stemcell\n", vm.log)
    assert list(vm.root.iterdir()) == []
    assert sorted(path.name for path in stemcell.iterdir()) == ["etc"]
    assert str(vm.path) not in Path("/proc/self/mountinfo").read_text()
    vm.reboot()
    eventually(lambda: (vm.path / "seen").read_text() == "stemcell\n" * 2, vm.log)


@pytest.mark.root
def test_an_overlay_that_can_not_be_mounted_is_refused(make_vm: MakeVm, tmp_path: Path) -> None:
    """The caller is told what was refused."""
    vm = make_vm()
    _launch_json(vm, isolate_mounts=True, overlay={"lower": str(tmp_path / "nowhere")})
    refused = vm.launch()
    assert refused.returncode == 1
    assert f"an overlay of {tmp_path}/nowhere at {vm.root} was refused" in refused.stderr
