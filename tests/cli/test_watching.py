"""The commands of resurrection, from the outside."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from cpi.kit.waiting import wait_until
from fixtures.ports import own_port
from tests.cli.conftest import Command
from tests.resurrection.deployment import Deployment, deployment_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A local cloud of its own."""
    with deployment_in(tmp_path) as made:
        yield made


@contextmanager
def _watching(deployment: Deployment, *options: str) -> Iterator["subprocess.Popen[str]"]:
    program = str(Path(sys.executable).with_name("cpi"))
    variables = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(deployment.folder), "COLUMNS": "200"}
    command = [program, "watch", str(deployment.file), *options]
    process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_watch_recreates_what_dies_and_tells_in_lines_of_json(deployment: Deployment) -> None:
    """Started, left alone, stopped by a signal: one line for each thing that happened, after what a slow machine adds."""
    one = deployment.add("db/0")
    with _watching(deployment, "--json") as process:
        database = deployment.folder / ".local" / "state" / "multicpi" / "resurrections.sqlite"
        wait_until(database.exists, "it runs", deadline_seconds=60)
        deployment.hurt(one)
        assert process.stdout is not None
        told: list[dict[str, str]] = []
        while not told or told[-1]["kind"] != "recreated":
            told.append(json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert not {"down", "recreated"} & {json.loads(line)["kind"] for line in out.splitlines()}
    *_, down, recreated = told
    assert (down["kind"], recreated["kind"], recreated["old_vm"]) == ("down", "recreated", one.first_vm)
    assert recreated["vm"] == deployment.vm_of(one)
    deployment.assert_well(one)


def test_watch_tells_responders_and_prometheus(deployment: Deployment) -> None:
    """The responders of the file get every alert; metrics are served on request."""
    one = deployment.add("db/0")
    deployment.more = {"responders": [{"type": "log", "path": "alerts"}]}
    port = own_port()
    with _watching(deployment, "--metrics-port", str(port)) as process:

        def metrics() -> str:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
            return ""

        well = 'multicpi_instance_up{group="db",instance="db/0"} 1.0'
        wait_until(lambda: well in metrics(), "it is well", deadline_seconds=60)
        deployment.hurt(one)
        wait_until(lambda: 'multicpi_alerts_total{kind="recreated"} 1.0' in metrics(), "it is counted", deadline_seconds=60)
        assert "multicpi_meltdown 0.0" in metrics()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "recreated: db/0: " in out
    kinds = [json.loads(line)["kind"] for line in (deployment.folder / "alerts").read_text().splitlines()]
    shown = [line.split()[1].removesuffix(":") for line in out.splitlines()]
    assert kinds == shown
    assert kinds[-2:] == ["down", "recreated"]  # on a machine that is slow it was silent, and back, before
    deployment.assert_well(one)


def test_resurrect_leaves_an_agent_alone_that_answers_unless_it_must_not(deployment: Deployment, cold_cpi: Command) -> None:
    """Asked once more; then by force, twice, for the database knows what became of the VM in the file."""
    one = deployment.add("db/0")
    left = cold_cpi("resurrect", deployment.file, "db/0")
    assert (left.returncode, "answered a final ping" in left.stdout) == (0, True), left.stderr
    assert deployment.vm_of(one) == one.first_vm
    forced = cold_cpi("resurrect", deployment.file, "db/0", "--even-if-alive", "--json")
    report = json.loads(forced.stdout)
    assert (report["standing"], report["vm"]) == ("recreated", deployment.vm_of(one))
    deployment.assert_well(one)
    again = cold_cpi("resurrect", deployment.file, "db/0", "--even-if-alive")
    assert str(deployment.vm_of(one)) in again.stdout
    assert deployment.vm_of(one) != report["vm"]
    deployment.assert_well(one)
    deployment.assert_nothing_left_over()


def test_what_can_not_be_recreated_is_told_in_red(deployment: Deployment, cpi: Command) -> None:
    """The step and the reason on stderr, exit status 1; an unknown instance is told with those there are."""
    one = deployment.add("db/0")
    deployment.hurt(one)
    one.spec["jobs"][0]["command"] = ["/does/not/exist"]
    deployment.watch_for(start=1)  # it never starts, however long it is waited for
    failed = cpi("resurrect", deployment.file, "db/0")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "db/0 was not recreated: start: " in failed.stderr
    unknown = cpi("resurrect", deployment.file, "db/7")
    assert (unknown.returncode, "known instances: db/0" in unknown.stderr) == (1, True)
