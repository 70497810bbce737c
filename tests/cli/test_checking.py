"""`cpi check`, from the outside."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cpi.contract.units import MiB
from tests.cli.conftest import Command, Done
from tests.resurrection.deployment import Deployment, deployment_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A local cloud of its own."""
    with deployment_in(tmp_path) as made:
        yield made


@pytest.fixture
def check(deployment: Deployment, cpi: Command) -> Command:
    """The command, on the deployment's file as it is then."""

    def run(*options: str, answers: str = "") -> Done:
        return cpi("check", deployment.file, *options, answers=answers)

    return run


def _problems(check: Command) -> set[tuple[str, str]]:
    told = check("--json")
    return {(one["instance"], one["problem"]) for one in json.loads(told.stdout)}


def test_lost_vms_and_silent_agents_are_found_and_recreated_by_themselves(deployment: Deployment, check: Command) -> None:
    """Instance exists no more, one does not answer, one is well."""
    gone, silent, well = (deployment.add(f"db/{number}") for number in range(3))
    assert check().stdout == "no problems found\n"
    deployment.hurt(gone, "gone")
    deployment.hurt(silent, "agent")
    assert _problems(check) == {("db/0", "missing VM"), ("db/1", "unresponsive agent")}
    told = check()
    assert (told.returncode, "2 of 2 problems remain" in told.stderr) == (1, True)
    done = check("--auto")
    assert done.returncode == 0, done.stderr
    for one in (gone, silent, well):
        deployment.assert_well(one)
    deployment.assert_nothing_left_over()
    assert check().returncode == 0


def test_disks_that_are_not_where_they_should_be_are_found(deployment: Deployment, check: Command) -> None:
    """Mounted nowhere: mounted again; at the VM and named by nobody: detached and kept; gone: forgotten when asked to."""
    one = deployment.add("db/0")
    with deployment.agent(one.first_vm) as agent:
        agent.stop()
        agent.unmount_disk(one.disk_cid)
    deployment.cloud.detach_disk(one.first_vm, one.disk_cid)
    extra = deployment.cloud.create_disk(MiB(16), {}, one.first_vm)
    deployment.cloud.attach_disk(one.first_vm, extra)
    assert _problems(check) == {("db/0", "mount mismatch"), ("db/0", "inactive disk")}
    auto = check("--auto")
    assert (auto.returncode, "1 of 2 problems remain" in auto.stderr) == (1, True), auto.stderr
    deployment.assert_well_but_for(one, {extra})
    asked = check("--ask", answers="2\n")
    assert (asked.returncode, "is detached and kept" in asked.stderr) == (0, True), asked.stderr
    deployment.assert_well(one)
    assert deployment.disks() == {one.disk_cid, extra}
    deployment.cloud.delete_disk(extra)


def test_a_disk_that_is_no_more_is_found(deployment: Deployment, check: Command) -> None:
    """With a choice that is none, nothing is done; what is left of it at the VM is taken away if that is wished."""
    one = deployment.add("db/0")
    one.writer.stop()
    with deployment.agent(one.first_vm) as agent:
        agent.stop()
        agent.unmount_disk(one.disk_cid)
    deployment.cloud.detach_disk(one.first_vm, one.disk_cid)
    deployment.cloud.delete_disk(one.disk_cid)
    assert _problems(check) == {("db/0", "missing disk")}
    wrong = check("--ask", answers="9\n")
    assert (wrong.returncode, "invalid choice 9" in wrong.stderr) == (1, True)
    done = check("--ask", answers="2\n")
    assert (done.returncode, "remove it from the file" in done.stderr) == (0, True), done.stderr


def test_a_disk_on_another_vm_is_not_moved_by_itself(deployment: Deployment, check: Command, cold_cpi: Command) -> None:
    """It is told where it is."""
    first, second = deployment.add("db/0"), deployment.add("db/1")
    first.disk_cid, second.disk_cid = second.disk_cid, first.disk_cid
    told = json.loads(check("--json").stdout)
    assert {(one["instance"], one["problem"], one["detail"]) for one in told} == {
        ("db/0", "mount mismatch", "it is mounted on db/1"),
        ("db/1", "mount mismatch", "it is mounted on db/0"),
    }
    assert check("--auto").returncode == 1
    first.disk_cid, second.disk_cid = second.disk_cid, first.disk_cid
    deployment.assert_well(first)
    assert cold_cpi("check", deployment.file).stdout == "no problems found\n"


def test_a_disk_is_not_mounted_beside_another_that_is_in_its_place(deployment: Deployment, check: Command) -> None:
    """Somebody put another disk there, of which no database and no tag tells: nothing is done by itself, and not by asking."""
    one = deployment.add("db/0")
    one.writer.stop()
    other = deployment.cloud.create_disk(MiB(64), {}, one.first_vm)
    with deployment.agent(one.first_vm) as agent:
        agent.stop()
        agent.unmount_disk(one.disk_cid)
        deployment.cloud.detach_disk(one.first_vm, one.disk_cid)
        agent.remove_persistent_disk(one.disk_cid)
        agent.add_persistent_disk(other, deployment.cloud.attach_disk(one.first_vm, other))
        agent.mount_disk(other)
    told = json.loads(check("--json").stdout)
    assert ("mount mismatch", f"it is mounted nowhere, and {other} is mounted in its place") in [
        (found["problem"], found["detail"]) for found in told
    ]
    assert check("--auto").returncode == 1
    asked = check("--ask", answers="2\n1\n")
    assert f"{other} is mounted in its place" in asked.stderr
    assert list(deployment.cloud.get_disks(one.first_vm)) == [other]
    with deployment.agent(one.first_vm) as agent:
        assert agent.list_disk() == (other,)
