"""Jobs: started in order, kept running, drained, stopped with all their processes."""

import contextlib
import itertools
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.drivers.local_agent.vm import AgentSaysNoError, Vm, eventually, lives

_SLEEP = ["sleep", "60"]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _started(path: Path, count: int) -> list[str]:
    """What so many starts noted: a job runs before its first line is written."""
    return eventually(lambda: found if len(found := _lines(path)) >= count else [], lambda: f"{_lines(path)}")


def _stamping(path: Path, then: str = "exec sleep 60") -> list[str]:
    """Notes the name and the time of a start, then goes on."""
    return ["sh", "-c", f'echo "$BOSH_JOB_NAME $(date +%s.%N) $$" >> {path}; {then}']


def test_a_job_sees_its_vm(vm: Vm) -> None:
    """Its folder is the root; its environment tells name, root, store and address, and its own env; its words are in its log."""
    command = [
        "sh",
        "-c",
        "pwd; echo $BOSH_JOB_NAME $BOSH_ROOT $BOSH_STORE $BOSH_ADDRESS $COLOUR; echo problem >&2; exec sleep 60",
    ]
    vm.run_jobs({"name": "seer", "command": command, "env": {"COLOUR": "blue"}})
    log = vm.root / "var/vcap/sys/log/seer.log"
    expected = [str(vm.root), f"seer {vm.root} {vm.store} 127.0.0.1 blue", "problem"]
    eventually(lambda: _lines(log) == expected, lambda: f"{_lines(log)}")


def test_a_working_directory_is_below_the_root(vm: Vm) -> None:
    """Unless it is absolute."""
    (vm.root / "opt").mkdir()
    vm.run_jobs({"name": "there", "command": ["sh", "-c", "pwd; exec sleep 60"], "working_directory": "opt"})
    eventually(lambda: _lines(vm.root / "var/vcap/sys/log/there.log") == [str(vm.root / "opt")], vm.log)


def test_a_job_that_dies_is_soon_started_again(vm: Vm) -> None:
    """kill -9 of it: after the shortest pause it runs again."""
    starts = vm.path / "starts"
    vm.run_jobs({"name": "cat", "command": _stamping(starts)})
    vm.wait_for_job_state("running")
    os.kill(int(_started(starts, 1)[0].split()[2]), signal.SIGKILL)
    _started(starts, 2)
    vm.wait_for_job_state("running")
    assert "job cat was killed by signal 9; it is started again in 0.1 s" in vm.log()


def test_a_job_that_keeps_dying_is_started_ever_less_often(vm: Vm) -> None:
    """The pauses double; meanwhile it is failing, and others run on."""
    starts = vm.path / "starts"
    vm.run_jobs({"name": "weak", "command": _stamping(starts, "exit 3")}, {"name": "strong", "command": _SLEEP})
    times = [float(line.split()[1]) for line in _started(starts, 5)]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    told = [float(text) for text in re.findall(r"job weak ended with status 3; it is started again in (\S+) s", vm.log())]
    assert told[:4] == [0.1, 0.2, 0.4, 0.8]
    assert all(pause >= least for pause, least in zip(pauses, told, strict=False)), pauses
    eventually(lambda: vm.job_states() == {"weak": "failing", "strong": "running"}, vm.log)
    assert vm.call("get_state")["job_state"] == "failing"


def test_a_command_that_is_not_there_is_failing(vm: Vm) -> None:
    """The agent's log has the reason."""
    vm.run_jobs({"name": "ghost", "command": ["/nowhere/ghost"]})
    vm.wait_for_job_state("failing")
    assert "job ghost cannot be run: [Errno 2] No such file or directory: '/nowhere/ghost'" in vm.log()


def test_jobs_start_after_those_they_depend_on(vm: Vm) -> None:
    """Each when the one before runs, in whatever order the spec has them."""
    starts = vm.path / "starts"
    vm.run_jobs(
        {"name": "web", "command": _stamping(starts), "depends_on": ["app"]},
        {"name": "app", "command": _stamping(starts), "depends_on": ["db"]},
        {"name": "db", "command": _stamping(starts)},
    )
    vm.wait_for_job_state("running")
    begun = {psutil.Process(int(pid)).create_time(): name for name, _, pid in map(str.split, _started(starts, 3))}
    assert [begun[moment] for moment in sorted(begun)] == ["db", "app", "web"]


def test_a_job_waits_for_one_that_fails(vm: Vm) -> None:
    """It is not started at all meanwhile."""
    starts = vm.path / "starts"
    vm.run_jobs(
        {"name": "web", "command": _stamping(starts), "depends_on": ["db"]},
        {"name": "db", "command": ["false"]},
    )
    vm.wait_for_job_state("failing")
    assert vm.job_states()["web"] == "starting"
    assert _lines(starts) == []


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ([{"name": "a", "command": ["x"], "depends_on": ["b"]}], "job a depends on b, which the spec does not have; it has a"),
        (
            [{"name": "a", "command": ["x"], "depends_on": ["b"]}, {"name": "b", "command": ["x"], "depends_on": ["a"]}],
            "jobs depend on each other in a circle: ",
        ),
        ([{"name": "a", "command": ["x"]}, {"name": "a", "command": ["y"]}], "the spec has two jobs named a"),
        ([{"name": "a", "comand": ["x"]}], "jobs[0].comand: unknown key; did you mean 'command'?"),
        ([{"name": "a", "command": "x y"}], "jobs[0].command: Expected `array`, got `str`"),
        ([{"name": "a", "command": []}], "a command of job a is empty"),
        ([{"name": "../a", "command": ["x"]}], "'../a' cannot be the name of a job"),
        ([{"name": "a", "command": ["x"], "stop_grace_seconds": -1}], "stop_grace_seconds of job a is negative"),
        ({"a": 1}, "the spec's jobs must be a list"),
    ],
)
def test_jobs_that_can_not_be_run_are_refused(lasting_vm: Vm, jobs: Any, said: str) -> None:
    """By prepare and by apply, and what was applied before stays."""
    lasting_vm.run_jobs({"name": "steady", "command": _SLEEP})
    for message in ("prepare", "apply"):
        with pytest.raises(AgentSaysNoError) as no:
            lasting_vm.done(message, {"jobs": jobs})
        assert said in str(no.value)
    assert set(lasting_vm.job_states()) == {"steady"}


def test_stop_ends_every_process_in_reverse_order(vm: Vm) -> None:
    """Children and grandchildren too, even those that left the family; it returns when none is left."""
    ends = vm.path / "ends"
    family_of_four = "(sleep 70 & exec sleep 71) & setsid sleep 72 & while :; do sleep 0.05; done"
    script = f"trap 'echo $BOSH_JOB_NAME >> {ends}; exit 0' TERM; {family_of_four}"
    vm.run_jobs(
        {"name": "db", "command": ["sh", "-c", script]},
        {"name": "app", "command": ["sh", "-c", script], "depends_on": ["db"]},
    )
    vm.wait_for_job_state("running")
    family = eventually(lambda: _family(vm, 8), vm.log)
    assert vm.done("stop") == "stopped"
    assert [process for process in family if lives(process)] == []
    assert _lines(ends) == ["app", "db"]
    assert vm.call("get_state")["job_state"] == "stopped"
    assert vm.job_states() == {"db": "stopped", "app": "stopped"}


def _family(vm: Vm, count: int) -> list[psutil.Process]:
    """The VM's processes besides the agent, once there are so many."""
    found = psutil.Process(vm.pid).children(recursive=True)
    return found if len(found) >= count else []


def test_a_job_that_will_not_stop_is_killed_after_its_grace(vm: Vm) -> None:
    """Not before."""
    script = f"trap '' TERM; touch {vm.path}/deaf; while :; do sleep 0.05; done"
    vm.run_jobs({"name": "stubborn", "command": ["sh", "-c", script], "stop_grace_seconds": 1})
    eventually((vm.path / "deaf").exists, vm.log)
    began = time.monotonic()
    vm.done("stop")
    assert time.monotonic() - began >= 1


def test_what_is_stopped_stays_so(vm: Vm) -> None:
    """Over a reboot as well, until it is started."""
    starts = vm.path / "starts"
    vm.run_jobs({"name": "calm", "command": _stamping(starts)})
    _started(starts, 1)
    vm.done("stop")
    vm.reboot()
    assert (vm.call("get_state")["job_state"], vm.job_states()) == ("stopped", {"calm": "stopped"})
    vm.call("start")
    vm.wait_for_job_state("running")
    assert len(_started(starts, 2)) == 2


def test_what_was_started_is_started_after_a_reboot(vm: Vm) -> None:
    """By the spec that was applied."""
    vm.run_jobs({"name": "steady", "command": _SLEEP})
    vm.reboot()
    vm.wait_for_job_state("running")
    assert vm.job_states() == {"steady": "running"}


def test_jobs_that_are_applied_run_from_the_next_start_on(vm: Vm) -> None:
    """Those that are the same run on, changed ones and their dependents anew, missing ones no more."""
    starts = vm.path / "starts"
    same = {"name": "same", "command": _stamping(starts)}
    dependent = {"name": "dependent", "command": _stamping(starts), "depends_on": ["changed"]}
    changed = {"name": "changed", "command": _stamping(starts)}
    vm.run_jobs(same, dependent, changed, {"name": "gone", "command": _SLEEP})
    vm.wait_for_job_state("running")
    assert sorted(line.split()[0] for line in _started(starts, 3)) == ["changed", "dependent", "same"]
    vm.done("apply", {"jobs": [same, dependent, {**changed, "env": {"X": "1"}}]})
    assert vm.job_states()["gone"] == "running"
    vm.call("start")
    vm.wait_for_job_state("running")
    assert sorted(line.split()[0] for line in _started(starts, 5)[3:]) == ["changed", "dependent"]
    assert vm.job_states() == dict.fromkeys(("same", "dependent", "changed"), "running")


def test_starting_twice_changes_nothing(vm: Vm) -> None:
    """The same processes run on."""
    vm.run_jobs({"name": "steady", "command": _SLEEP})
    vm.wait_for_job_state("running")
    before = psutil.Process(vm.pid).children()
    vm.call("start")
    assert psutil.Process(vm.pid).children() == before


def test_a_job_s_remains_are_gone_before_it_is_started_again(vm: Vm) -> None:
    """A child that its dead parent left would keep the port or the database."""
    starts = vm.path / "starts"
    vm.run_jobs({"name": "parent", "command": _stamping(starts, "sleep 73 & wait")})
    vm.wait_for_job_state("running")
    parent = psutil.Process(int(_started(starts, 1)[0].split()[2]))
    (child,) = eventually(parent.children, vm.log)
    parent.kill()
    _started(starts, 2)
    assert not lives(child)


def _draining(path: Path, *answers: int) -> dict[str, Any]:
    """A drain command that notes how it was called, and prints the next answer each time."""
    cases = " ".join(f"{number}) echo {answer};;" for number, answer in enumerate(answers, 1))
    return {"command": ["sh", "-c", f'echo "$@" >> {path}; echo chatter; case $(wc -l < {path}) in {cases} esac', "drain"]}


def test_drain_waits_as_long_as_a_job_says(vm: Vm) -> None:
    """A positive number is the whole wait; the agent has waited when it answers 0."""
    calls = vm.path / "calls"
    vm.run_jobs({"name": "busy", "command": _SLEEP, "drain": _draining(calls, 1)}, {"name": "idle", "command": _SLEEP})
    began = time.monotonic()
    assert vm.done("drain", "shutdown") == 0
    assert time.monotonic() - began >= 1
    assert _lines(calls) == ["job_shutdown hash_unchanged"]


def test_a_negative_drain_is_asked_again(vm: Vm) -> None:
    """After so many seconds, until it is none."""
    calls = vm.path / "calls"
    vm.run_jobs({"name": "busy", "command": _SLEEP, "drain": _draining(calls, -1, 0)})
    assert vm.done("drain", "update", {"persistent_disk": 5}) == 0
    assert _lines(calls) == ["job_changed hash_unchanged", "job_check_status hash_unchanged"]


def test_a_drain_that_is_none_changes_nothing(vm: Vm) -> None:
    """The jobs are kept running as before."""
    starts = vm.path / "starts"
    vm.run_jobs({"name": "cat", "command": _stamping(starts)})
    vm.wait_for_job_state("running")
    with pytest.raises(AgentSaysNoError, match="Drain update requires new spec"):
        vm.done("drain", "update")
    os.kill(int(_started(starts, 1)[0].split()[2]), signal.SIGKILL)
    _started(starts, 2)


def test_a_job_that_ends_in_its_drain_is_not_started_again(vm: Vm) -> None:
    """Until start is asked."""
    starts = vm.path / "starts"
    drain = {"command": ["sh", "-c", f"kill $(cut -d' ' -f3 {starts}); echo 1"]}
    vm.run_jobs({"name": "leaving", "command": _stamping(starts), "drain": drain})
    _started(starts, 1)
    vm.done("drain", "shutdown")
    eventually(lambda: vm.job_states() == {"leaving": "stopped"}, vm.log)
    assert len(_lines(starts)) == 1
    vm.call("start")
    vm.wait_for_job_state("running")


def test_a_drain_that_fails_names_its_job(vm: Vm) -> None:
    """And those that did not."""
    vm.run_jobs(
        {"name": "bad", "command": _SLEEP, "drain": {"command": ["sh", "-c", "exit 4"]}},
        {"name": "odd", "command": _SLEEP, "drain": {"command": ["echo", "soon"]}},
        {"name": "good", "command": _SLEEP, "drain": {"command": ["sh", "-c", "echo 0"]}},
    )
    with pytest.raises(AgentSaysNoError) as no:
        vm.done("drain", "shutdown")
    assert "2 of 3 drain scripts failed. Failed Jobs: bad, odd. Successful Jobs: good." in str(no.value)
    assert "bad: exit status 4; odd: the last line it prints must be a number of seconds, got 'soon job_shutdown" in str(no.value)


def test_a_drain_can_be_cancelled(vm: Vm) -> None:
    """Its processes go with it, and the next task has its turn."""
    vm.run_jobs({"name": "slow", "command": _SLEEP, "drain": {"command": ["sh", "-c", "sleep 74; echo 0"]}})
    marker = vm.call("drain", "shutdown")
    eventually(lambda: _sleeping(vm, "74"), vm.log)
    assert vm.call("cancel_task", marker["agent_task_id"]) == "canceled"
    assert vm.done("list_disk") == []
    with pytest.raises(AgentSaysNoError, match="it was cancelled"):
        vm.result(marker)
    eventually(lambda: not _sleeping(vm, "74"), vm.log)


def _sleeping(vm: Vm, seconds: str) -> bool:
    for process in psutil.Process(vm.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if seconds in process.cmdline():
                return True
    return False


def _script(vm: Vm, job: str, name: str, text: str) -> None:
    path = vm.root / f"var/vcap/jobs/{job}/bin/{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_run_script_runs_it_for_every_job_that_has_one(vm: Vm) -> None:
    """With the given env; what it says lies beside the job's logs."""
    _script(vm, "db", "pre-start", "echo $BOSH_JOB_NAME $COLOUR; pwd; echo oops >&2")
    _script(vm, "app", "post-start", "exit 1")
    assert vm.done("run_script", "pre-start", {"env": {"COLOUR": "blue"}}) == {}
    logs = vm.root / "var/vcap/sys/log/db"
    assert _lines(logs / "pre-start.stdout.log") == ["db blue", str(vm.root)]
    assert _lines(logs / "pre-start.stderr.log") == ["oops"]
    assert vm.done("run_script", "nothing", {}) == {}


def test_a_script_that_fails_names_its_job(vm: Vm) -> None:
    """The others run to their end."""
    _script(vm, "a", "pre-start", "exit 5")
    _script(vm, "b", "pre-start", f"sleep 0.3; touch {vm.path}/done")
    _script(vm, "c", "pre-start", "true")
    (vm.root / "var/vcap/jobs/c/bin/pre-start").chmod(0o644)
    with pytest.raises(AgentSaysNoError) as no:
        vm.done("run_script", "pre-start", {})
    assert "2 of 3 pre-start scripts failed. Failed Jobs: a, c. Successful Jobs: b." in str(no.value)
    assert "a: exit status 5" in str(no.value)
    assert (vm.path / "done").exists()


def test_a_script_s_name_can_not_lead_elsewhere(vm: Vm) -> None:
    """It is a name, no path."""
    with pytest.raises(AgentSaysNoError, match="cannot be the name of a script"):
        vm.done("run_script", "../../../evil", {})
