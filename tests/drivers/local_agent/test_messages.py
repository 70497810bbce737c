"""What each message is answered, held against what the real BOSH agent was recorded to answer."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.drivers.local_agent.vm import AgentSaysNoError, Vm

_RECORDING = Path(__file__).parents[3] / "fixtures" / "agent" / "bosh-agent-nats.jsonl"
_LINES = [line for line in map(json.loads, _RECORDING.read_text().splitlines()) if "request" in line]


def _recorded(method: str, *arguments: Any, at: int = 0) -> Any:
    """What the BOSH agent answered to that message; for a long one, what its task came to."""
    places = [
        index
        for index, line in enumerate(_LINES)
        if [line["request"][key] for key in ("method", "arguments")] == [method, list(arguments)]
    ]
    answer = _LINES[places[at]]["response"]
    task_id = answer.get("value", {}).get("agent_task_id") if isinstance(answer.get("value"), dict) else None
    later = [line["response"] for line in _LINES[places[at] :] if line["request"]["arguments"] == [task_id]]
    return copy.deepcopy(later[-1] if task_id else answer)


def _reply(vm: Vm, method: str, *arguments: Any) -> Any:
    """The same of ours."""
    reply = vm.reply(method, *arguments)
    marker = reply.get("value")
    if not isinstance(marker, dict) or "agent_task_id" not in marker:
        return reply
    try:
        return {"value": vm.result(marker)}
    except AgentSaysNoError as no:
        return {"exception": {"message": str(no)}}


def _shape(value: Any) -> Any:
    """The document with each value's kind in its place."""
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value[:1]]
    return type(value).__name__


_TASK = re.compile(r"Task [0-9a-f-]{36} ")


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("info", []),
        ("bogus_method", []),
        ("get_task", ["no-such-task"]),
        ("add_persistent_disk", ["disk-1", {"path": "/dev/sdc"}]),
        ("add_persistent_disk", ["disk-2", {"id": "vol-2"}]),
        ("mount_disk", ["disk-404"]),
        ("unmount_disk", ["disk-404"]),
        ("remove_persistent_disk", ["disk-1"]),
        ("drain", ["shutdown"]),
        ("drain", ["status"]),
        ("stop", []),
        ("start", []),
        ("run_script", ["pre-start", {}]),
        ("prepare", [{}]),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value)),
)
def test_the_answer_is_the_recorded_one(lasting_vm: Vm, method: str, arguments: list[Any]) -> None:
    """Values and messages to the letter, ids of tasks apart."""
    ours, theirs = (json.dumps(answer) for answer in (_reply(lasting_vm, method, *arguments), _recorded(method, *arguments)))
    assert _TASK.sub("Task ID ", ours) == _TASK.sub("Task ID ", theirs)


def test_the_answer_to_shutdown_is_the_recorded_one(vm: Vm) -> None:
    """The last of all."""
    assert _reply(vm, "shutdown") == _recorded("shutdown")


def test_a_long_message_is_answered_with_a_task(lasting_vm: Vm) -> None:
    """Even if its arguments are missing, as recorded of mount_disk."""
    for method in ("stop", "prepare", "apply", "drain", "run_script", "mount_disk", "unmount_disk", "migrate_disk"):
        assert _shape(lasting_vm.reply(method)) == {"value": {"agent_task_id": "str", "state": "str"}}


def test_missing_arguments_are_counted(lasting_vm: Vm) -> None:
    """The words are the BOSH agent's."""
    with pytest.raises(
        AgentSaysNoError, match=r"result: Extracting method arguments from payload: Not enough arguments, expected 1, got 0$"
    ):
        lasting_vm.done("mount_disk")
    with pytest.raises(AgentSaysNoError, match=r"^Action Failed get_task: .*expected 1, got 0$"):
        lasting_vm.call("get_task")


def test_the_state_has_the_recorded_shape(vm: Vm) -> None:
    """With jobs, and with vitals when "full" is asked."""
    vm.run_jobs({"name": "process-1", "command": ["sleep", "60"]})
    vm.wait_for_job_state("running")
    assert _shape(vm.reply("get_state")) == _shape(_recorded("get_state"))
    assert _shape(vm.reply("get_state", "full")) == _shape(_recorded("get_state", "full"))


def test_the_state_without_jobs_is_that_of_a_fresh_agent(vm: Vm) -> None:
    """Nothing is applied, nothing fails, and the agent knows who it is."""
    recorded = _recorded("get_state")["value"]
    del recorded["processes"]
    assert vm.call("get_state") == recorded


def test_the_state_shows_the_applied_spec(vm: Vm) -> None:
    """As recorded after apply and stop."""
    spec = next(line["request"]["arguments"][0] for line in _LINES if line["request"]["method"] == "apply")
    assert vm.done("apply", spec) == _recorded("apply", spec)["value"]
    vm.done("stop")
    recorded = _recorded("get_state", at=1)["value"]
    del recorded["processes"]
    assert vm.call("get_state") == recorded


def test_a_dynamic_network_gets_its_address_from_the_settings(vm: Vm) -> None:
    """The director does not know it when it applies the spec."""
    vm.done("apply", {"networks": {"default": {"type": "dynamic", "cloud_properties": {}}}})
    assert vm.call("get_state")["networks"] == {"default": {"type": "dynamic", "cloud_properties": {}, "ip": "127.0.0.1"}}


def test_list_disk_is_a_task_only_for_those_who_poll(lasting_vm: Vm) -> None:
    """A director polls; the command line program, which sends no protocol, gets the list at once."""
    assert lasting_vm.done("list_disk") == []
    assert lasting_vm.reply("list_disk", protocol=None) == {"value": []}
    assert lasting_vm.reply("list_disk", protocol=2) == {"value": []}


def test_only_drain_and_scripts_can_be_cancelled(lasting_vm: Vm) -> None:
    """The refusal is the recorded one."""
    marker = lasting_vm.call("prepare", {})
    with pytest.raises(AgentSaysNoError, match=r"^Action Failed cancel_task: not supported$"):
        lasting_vm.call("cancel_task", marker["agent_task_id"])
    with pytest.raises(AgentSaysNoError, match=r"^Action Failed cancel_task: Task with id nothing could not be found$"):
        lasting_vm.call("cancel_task", "nothing")


def test_delete_arp_entries_has_nothing_to_delete(lasting_vm: Vm) -> None:
    """But it looks at what it was given."""
    assert lasting_vm.call("delete_arp_entries", {"ips": ["127.0.0.1"]}) == {}
    with pytest.raises(AgentSaysNoError, match="a list of ips"):
        lasting_vm.call("delete_arp_entries", {})


def test_dynamic_disks_are_links(vm: Vm, tmp_path: Path) -> None:
    """Named by their CID, in the folder where BOSH has them; a name cannot lead elsewhere."""
    link = vm.root / "var/vcap/data/dynamic_disks/disk-7"
    assert vm.done("add_dynamic_disk", "disk-7", {"path": str(tmp_path)}) == {}
    assert link.readlink() == tmp_path
    assert vm.call("remove_dynamic_disk", "disk-7") == {}
    assert vm.call("remove_dynamic_disk", "disk-7") == {}
    assert not link.is_symlink()
    with pytest.raises(AgentSaysNoError, match="cannot be the name of a link"):
        vm.done("add_dynamic_disk", "../../evil", {"path": str(tmp_path)})


def test_associated_disks_are_links(vm: Vm, tmp_path: Path) -> None:
    """update_settings names them; a disk that is not attached is refused."""
    vm.attach({"disk-3": str(tmp_path)})
    assert vm.done("update_settings", {"disk_associations": [{"name": "data", "cid": "disk-3"}]}) == "ok"
    assert (vm.root / "var/vcap/instance/disks/data").readlink() == tmp_path
    with pytest.raises(
        AgentSaysNoError, match="Fetching disk settings: Persistent disk with volume id 'disk-4' could not be found"
    ):
        vm.done("update_settings", {"disk_associations": [{"name": "data", "cid": "disk-4"}]})


def test_a_hint_holds_strings(lasting_vm: Vm) -> None:
    """The BOSH agent dies of a number; this one says no."""
    hints: tuple[Any, ...] = ({"lun": 0}, 3, None, {}, [])
    for hint in hints:
        with pytest.raises(AgentSaysNoError, match="must be a string or hold strings"):
            lasting_vm.done("add_persistent_disk", "disk-1", hint)


def test_arguments_are_a_list(lasting_vm: Vm) -> None:
    """Anything else is answered, not died of."""
    for arguments in ({"a": 1}, "text", 3):
        answer = lasting_vm.http.post(lasting_vm.url, json={"method": "get_task", "arguments": arguments})
        assert "arguments is no list" in answer.json()["exception"]["message"]


def test_an_argument_of_the_wrong_kind_is_a_failed_task(lasting_vm: Vm) -> None:
    """And the agent goes on."""
    for method, arguments in (
        ("apply", ["x"]),
        ("apply", [[1]]),
        ("update_settings", [3]),
        ("run_script", ["a", ["b"]]),
        ("mount_disk", [{}]),
    ):
        with pytest.raises(AgentSaysNoError, match="result: "):
            lasting_vm.done(method, *arguments)
        assert lasting_vm.call("ping") == "pong"
    with pytest.raises(AgentSaysNoError, match="argument 1 must be a string, got dict"):
        lasting_vm.done("mount_disk", {})
