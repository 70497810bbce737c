"""Containers as jobs, in a real engine: started, watched, restarted, stopped without a trace."""

import json
import os
import signal
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cpi_drivers.local.agent.containers.cgroups import cgroup_of, remove_cgroups
from fixtures.containers import image_archive, rows_job, small_root_folder
from fixtures.ports import own_port
from tests.drivers.local_agent.vm import AgentSaysNoError, Certificate, Vm, eventually

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root folder of a small container."""
    return small_root_folder(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def vm(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Vm]:
    """With mounts of its own; after the tests nothing of its containers is left."""
    vm = Vm(tmp_path_factory.mktemp("containers") / "vm", certificate)
    (vm.path / "launch.json").write_text(json.dumps({"isolate_mounts": True, "overlay": None, "command": None}))
    try:
        yield vm.start()
        vm.lose()
        eventually(lambda: not _in_rooms_of(vm), lambda: f"left: {_in_rooms_of(vm)}")
    finally:
        vm.close()
        remove_cgroups(cgroup_of(str(vm.path)))


def _in_rooms_of(vm: Vm) -> list[str]:
    """Processes that name the VM's folder, or whose mounts do."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            mounts = Path(f"/proc/{process.pid}/mountinfo").read_text(encoding="utf-8", errors="replace")
        except (psutil.Error, OSError):
            continue
        if process.pid != os.getpid() and (str(vm.path) in words or str(vm.path) in mounts):
            found.append(words)
    return found


def _log(vm: Vm, name: str = "rows") -> str:
    log = vm.root / f"var/vcap/sys/log/{name}.log"
    return log.read_text(errors="replace") if log.exists() else ""


def _send(port: int, row: str) -> str:
    """What the container answers: the row, once it is on the disk."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(f"{row}\n".encode())
            return connection.makefile("r").readline().strip()
    except OSError:
        return ""


def _acknowledged(vm: Vm, port: int, row: str) -> None:
    eventually(lambda: _send(port, row) == row, lambda: f"{vm.job_states()}\n{_log(vm)}\n{vm.log()}")


def _process_in(name: str, vm: Vm) -> psutil.Process:
    """The process of that name that descends from the VM's agent."""

    def named() -> list[psutil.Process]:
        return [one for one in psutil.Process(vm.pid).children(recursive=True) if one.name() == name]

    return eventually(named, lambda: f"{psutil.Process(vm.pid).children(recursive=True)}")[0]


def test_a_container_runs_writes_to_the_store_and_leaves_nothing_when_stopped(vm: Vm, image: Path) -> None:
    """Its volume is a folder of its own on the store, its user's; its log is the job's; after stop no process has it mounted."""
    port = own_port()
    vm.run_jobs(rows_job(image, port, name="owned", user="rows", cpu_shares=512, memory="64m"))
    assert vm.job_states() == {"owned": "running"}
    _acknowledged(vm, port, "first")
    data = vm.store / "owned/data"
    assert (data / "rows").read_text() == "first\n"
    assert {data.stat().st_uid, (data / "rows").stat().st_uid} == {1234}
    assert vm.done("stop") == "stopped"
    left = [line for line in _in_rooms_of(vm) if "--vm-dir" not in line]
    assert left == []
    assert not list(Path("/sys/fs/cgroup").glob(f"*{cgroup_of(str(vm.path), 'owned')}"))


def test_what_dies_is_started_again_with_what_depends_on_it(vm: Vm, image: Path) -> None:
    """A process in the container, the engine's monitor, the engine: rows go on, and the dependent container is started anew."""
    port = own_port()
    dependent = {
        "name": "dependent",
        "image": str(image),
        "command": ["sh", "-c", "echo began >> /data/starts; exec sleep 600"],
        "bind_volumes": ["/data"],
        "depends_on": ["rows"],
        "stop_grace": 0,
    }
    vm.run_jobs(dependent, rows_job(image, port))
    vm.wait_for_job_state("running")
    starts = vm.store / "dependent/data/starts"
    for number, name in enumerate(("busybox", "conmon", "podman"), 1):
        victim = _process_in("nc" if name == "busybox" else name, vm)
        os.kill(victim.pid, signal.SIGKILL)
        eventually(lambda n=number: starts.read_text() == "began\n" * (n + 1), lambda: f"{starts.read_text()} {vm.log()}")  # type: ignore[misc]  # mypy knows no default of a lambda
        vm.wait_for_job_state("running")
        _acknowledged(vm, port, f"after {name}")
    assert (vm.store / "rows/data/rows").read_text().splitlines()[-1] == "after podman"


def test_losing_the_vm_is_losing_its_containers(vm: Vm, image: Path) -> None:
    """Its process group is killed: nothing of the container lives on; started again, the VM runs it, with its rows."""
    port = own_port()
    vm.run_jobs(rows_job(image, port))
    _acknowledged(vm, port, "before")
    vm.lose()
    eventually(lambda: not _in_rooms_of(vm), lambda: f"left: {_in_rooms_of(vm)}")
    vm.start()
    _acknowledged(vm, port, "after")
    assert (vm.store / "rows/data/rows").read_text().endswith("before\nafter\n")


def test_a_container_that_is_never_well_fails_start_with_its_last_words(vm: Vm, image: Path) -> None:
    """After several tries; get_state calls it failing."""
    assert vm.done("apply", {"jobs": [{"name": "sad", "image": str(image), "command": ["sh", "-c", "echo no luck; exit 3"]}]})
    with pytest.raises(AgentSaysNoError, match=r"(?s)container sad is not well: it ended with status 3.*no luck"):
        vm.call("start")
    assert vm.job_states() == {"sad": "failing"}


def test_a_check_that_fails_has_the_container_started_again(vm: Vm, image: Path) -> None:
    """The check is a command in it."""
    check = {"command": ["stat", "/data/well"], "interval": 0.3, "retries": 2}
    command = ["sh", "-c", "touch /data/well; echo began; exec sleep 600"]
    vm.run_jobs(
        {"name": "checked", "image": str(image), "command": command, "bind_volumes": ["/data"], "health": check, "stop_grace": 0}
    )
    (vm.store / "checked/data/well").unlink()
    eventually(lambda: _log(vm, "checked").count("began") == 2, lambda: _log(vm, "checked"))
    assert "not well any more, 2 looks in a row" in _log(vm, "checked")
    vm.wait_for_job_state("running")


def test_a_stopped_container_gets_its_signal_and_its_grace(vm: Vm, image: Path) -> None:
    """The signal that its description names; what takes it may finish."""
    command = ["sh", "-c", "trap 'echo goodbye; exit 0' INT; touch /up; while true; do sleep 0.1; done"]
    health = {"command": ["stat", "/up"]}
    vm.run_jobs(
        {"name": "polite", "image": str(image), "command": command, "stop_signal": "SIGINT", "stop_grace": 30, "health": health}
    )
    assert vm.done("stop") == "stopped"
    assert "goodbye" in _log(vm, "polite")


def test_restart_says_what_becomes_of_a_container_that_ended(vm: Vm, image: Path) -> None:
    """on-failure: one that ended well stays so."""
    vm.run_jobs({"name": "once", "image": str(image), "command": ["sh", "-c", "echo ran"], "restart": "on-failure"})
    eventually(lambda: vm.job_states() == {"once": "stopped"}, lambda: f"{vm.job_states()}")
    assert _log(vm, "once").splitlines().count("ran") == 1


def test_an_image_is_built_from_a_dockerfile(vm: Vm, image: Path, tmp_path: Path) -> None:
    """What the image says counts: its entrypoint, its variables. A Dockerfile that fails says why."""
    with tarfile.open(tmp_path / "root.tar", "w") as archive:
        archive.add(image, ".")
    (tmp_path / "Dockerfile").write_text(
        'FROM scratch\nADD root.tar /\nENV COLOUR=blue\nENTRYPOINT ["sh", "-c", "echo $COLOUR; exec sleep 600"]\n'
    )
    job: dict[str, Any] = {"name": "built", "dockerfile": str(tmp_path / "Dockerfile"), "stop_grace": 0}
    vm.run_jobs(job)
    eventually(lambda: "blue\n" in _log(vm, "built"), lambda: _log(vm, "built"))
    broken = "FROM scratch\nCOPY missing /\n"
    with pytest.raises(
        AgentSaysNoError, match=r"(?s)container built: its image cannot be had \(build ended with \d+\):.*missing"
    ):
        vm.done("apply", {"jobs": [{**job, "dockerfile": broken}]})


def test_an_image_is_loaded_from_an_archive(vm: Vm, image: Path, tmp_path: Path) -> None:
    """As `podman save` writes it: its entrypoint and its variables count. What is no archive is refused in the engine's words."""
    archive = image_archive(tmp_path, image, entrypoint=["sh", "-c", "echo $COLOUR; exec sleep 600"], env=["COLOUR=green"])
    job: dict[str, Any] = {"name": "loaded", "image": str(archive), "stop_grace": 0}
    vm.run_jobs(job)
    eventually(lambda: "green\n" in _log(vm, "loaded"), lambda: _log(vm, "loaded"))
    spoilt = tmp_path / "spoilt.tar"
    spoilt.write_bytes(archive.read_bytes()[:3000])
    with pytest.raises(AgentSaysNoError, match=r"container loaded: its image cannot be had \(load ended with \d+\):"):
        vm.done("apply", {"jobs": [{**job, "image": str(spoilt)}]})


def test_ports_lead_to_others_where_the_container_listens(vm: Vm, image: Path) -> None:
    """HOST:CONTAINER."""
    inside, outside = own_port(), own_port()
    vm.run_jobs(rows_job(image, inside, bind_ports=[f"{outside}:{inside}"]))
    _acknowledged(vm, outside, "through")


def test_what_cannot_be_run_is_refused_before_anything_starts(vm: Vm) -> None:
    """With all faults; the VM keeps what it had."""
    with pytest.raises(AgentSaysNoError, match="port 80 is bound by a and by b"):
        vm.done("apply", {"jobs": [{"name": name, "image": "/nowhere", "bind_ports": ["80"]} for name in ("a", "b")]})
    with pytest.raises(AgentSaysNoError, match="container a: the image /nowhere is neither an archive nor a root folder"):
        vm.done("apply", {"jobs": [{"name": "a", "image": "/nowhere"}]})
    assert not {"a", "b"}.intersection(vm.job_states())
