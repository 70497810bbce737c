"""ExternalCloud: any executable, spoken to as a director does, and as strict as a director."""

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.ids import AgentId, DiskCid, NetworkCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import CallContext, CloudConfig, DiskHint, Network, NetworkDefinition, Vm, VmResources
from cpi.contract.units import MiB
from cpi.rpc.client import ExternalCloud
from tests.rpc.conftest import Script
from tests.rpc.executable import Executable

if TYPE_CHECKING:
    from cpi.rpc.calling import CallRecord

VM, DISK = VmCid("vm-1"), DiskCid("disk-1")


def calls(folder: Path) -> list[dict[str, Any]]:
    """The requests that the script got."""
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


def test_it_drives_our_own_executable(executable: Executable) -> None:
    """Every method, there and back."""
    cloud = ExternalCloud(executable.command, CallContext(director_uuid="d", request_id="r"))
    network = Network(ip="10.0.0.6", dns=("10.0.0.2",), extra={"routes": [1]})
    assert cloud.info().stemcell_formats == ("scripted-tar",)
    assert cloud.ping() == "pong"
    assert cloud.create_stemcell("image", {}, {"owner": "ops"}) == StemcellCid("stemcell-1")
    assert cloud.create_vm(AgentId("a"), StemcellCid("s"), {}, {"web": network}, [DISK], {"bosh": {}}, "again") == Vm(
        VM, {"web": network}
    )
    assert cloud.calculate_vm_cloud_properties(VmResources(1, MiB(2), MiB(3))) == {"size": "small"}
    assert (cloud.has_vm(VM), cloud.has_disk(DiskCid("disk-2"))) == (True, False)
    assert cloud.create_disk(MiB(1), {}, VM, "again") == DISK
    assert cloud.attach_disk(VM, DISK) == DiskHint(path="/dev/disk/by-id/disk-1")
    assert list(cloud.get_disks(VM)) == []
    assert cloud.update_disk(DISK, MiB(2), {}) == DiskCid("disk-2")
    assert cloud.snapshot_disk(DISK, {"index": 0}) == SnapshotCid("snapshot-1")
    assert cloud.create_network(NetworkDefinition(range="10.0.0.0/24")).cid == NetworkCid("network-1")
    with pytest.raises(errors.DiskNotAttached, match="disk-1 is not attached to vm-1") as raised:
        cloud.detach_disk(VM, DISK)
    assert raised.value.ok_to_retry
    with pytest.raises(errors.NotImplemented):
        cloud.current_vm_id()
    with pytest.raises(errors.NotSupported):
        cloud.configure_networks(VM, {})
    received = {call["method"]: call for call in executable.calls()}
    assert received["create_stemcell"]["arguments"] == ["image", {}, {"owner": "ops"}]
    assert received["create_vm"]["arguments"][-1] == "again"
    assert received["create_disk"]["arguments"] == [1, {}, "vm-1", "again"]
    assert received["create_disk"]["context"]["request_id"] == "r"


def test_what_answers_nothing_is_called_too(executable: Executable) -> None:
    """The methods whose result nobody reads."""
    cloud = ExternalCloud(executable.command)
    cloud.delete_stemcell(StemcellCid("s"))
    cloud.delete_vm(VM)
    cloud.reboot_vm(VM)
    cloud.set_vm_metadata(VM, {"name": "web/0"})
    cloud.delete_disk(DISK)
    cloud.set_disk_metadata(DISK, {"name": "web/0"})
    cloud.resize_disk(DISK, MiB(2))
    cloud.delete_snapshot(SnapshotCid("snapshot-1"))
    cloud.delete_network(NetworkCid("network-1"))
    assert [call["method"] for call in executable.calls() if call["method"] != "close"] == [
        *("delete_stemcell", "delete_vm", "reboot_vm", "set_vm_metadata", "delete_disk", "set_disk_metadata"),
        *("resize_disk", "delete_snapshot", "delete_network"),
    ]


def test_a_director_hands_on_three_variables_and_asks_the_version_once(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first info has no version; nothing else of the environment gets through."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for you")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    cloud = ExternalCloud([script("answer(True)")], CallContext("d", "r", 3, properties={"region": "eu"}))
    assert cloud.has_vm(VM)
    assert cloud.has_vm(VM)
    info, *others = calls(tmp_path)
    assert [call["method"] for call in others] == ["has_vm", "has_vm"]
    assert "api_version" not in info
    assert others[0]["api_version"] == 3
    assert others[0]["context"] == {
        "director_uuid": "d",
        "request_id": "r",
        "vm": {"stemcell": {"api_version": 3}},
        "region": "eu",
    }
    environment = {key: value for key, value in info["environment"].items() if key != "LC_CTYPE"}  # Python's own
    assert environment == {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}


def test_the_command_line_hands_its_environment_on_and_speaks_version_two(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks info with version 1, and create_stemcell has no tags."""
    monkeypatch.setenv("BOSH_JOBS_DIR", "jobs")
    cloud = ExternalCloud([script('answer("stemcell-1")')], caller="cli")
    cloud.create_stemcell("image", {}, {"owner": "ops"})
    info, create = calls(tmp_path)
    assert (info["api_version"], create["api_version"]) == (1, 2)
    assert create["arguments"] == ["image", {}]
    assert create["environment"]["BOSH_JOBS_DIR"] == "jobs"


@pytest.mark.parametrize(
    "info",
    [
        'answer({"stemcell_formats": [], "api_version": 1})',
        'answer({"stemcell_formats": []})',
        'answer(None, {"type": "Bosh::Clouds::NotImplemented", "message": "no", "ok_to_retry": False})',
    ],
)
def test_an_executable_of_version_one_is_refused(script: Script, info: str) -> None:
    """As by the director, whatever is asked of it."""
    with pytest.raises(errors.NotSupported, match="api_version"):
        ExternalCloud([script("answer(True)", info)]).has_vm(VM)


@pytest.mark.parametrize(
    "info", ['answer({"api_version": "3"})', 'answer(["x"])', 'answer({"stemcell_formats": "x", "api_version": 3})']
)
def test_an_info_of_wrong_types_is_an_invalid_response(script: Script, info: str) -> None:
    """Named with what was wrong."""
    with pytest.raises(errors.CpiError, match="invalid response to info: Expected"):
        ExternalCloud([script("answer(True)", info)]).ping()


def test_an_executable_of_a_later_version_is_spoken_to_in_ours(script: Script, tmp_path: Path) -> None:
    """The lower of the two; no formats is a way of saying that any will do."""
    cloud = ExternalCloud([script("answer(True)", 'answer({"api_version": 7})')])
    assert cloud.has_vm(VM)
    assert calls(tmp_path)[-1]["api_version"] == 3
    assert cloud.info().stemcell_formats == ()


INVALID = {
    "junk before": ('print("a warning")\nanswer(True)', "not one JSON document", "a warning"),
    "junk after": ('answer(True)\nprint("bye")', "Extra data", "bye"),
    "nothing": ("pass", "it is empty", ""),
    "byte order mark": ("sys.stdout.buffer.write(b'\\xef\\xbb\\xbf'); answer(True)", "BOM", "result"),
    "not UTF-8": ("sys.stdout.buffer.write(b'\\xff')", "not UTF-8", "began"),
    "NaN": ("answer(float('nan'))", "NaN is not a JSON number", "NaN"),
    "log null": ("answer(True, log=None)", "log: expected a string, got null", "log"),
    "no ok_to_retry": ('answer(None, {"type": "x", "message": "y"})', "error.ok_to_retry: expected true or false", "x"),
    "a traceback": ('raise OSError("no cloud")', "it is empty", "no cloud"),
    "too long": ("sys.stdout.write('x' * 100_000_000)", "too long", "xxx"),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_response_is_shown_by_its_beginning(script: Script, name: str) -> None:
    """With what was wrong with it, as a CpiError that is not long."""
    body, fault, shown = INVALID[name]
    with pytest.raises(errors.CpiError) as raised:
        ExternalCloud([script(body)], deadline_seconds=20).has_vm(VM)
    assert "gave an invalid response to has_vm" in raised.value.message
    assert fault in raised.value.message
    assert shown in raised.value.message
    assert len(raised.value.message) < 1500


@pytest.mark.parametrize("result", ["None", '""', "{}", "3", '{"lun": 0}', '{"path": null}', '["/dev/sdf"]'])
def test_a_hint_that_would_break_the_agent_is_an_invalid_response(script: Script, result: str) -> None:
    """A number makes the agent panic."""
    result = result.replace("null", "None")
    with pytest.raises(errors.CpiError, match="invalid response to attach_disk"):
        ExternalCloud([script(f"answer({result})")]).attach_disk(VM, DISK)


@pytest.mark.parametrize("result", ['"vm-1"', "[]", '["vm-1"]', '["", {}]', '["vm-1", []]', '["vm-1", {"web": 1}]'])
def test_a_vm_without_its_cid_or_networks_is_an_invalid_response(script: Script, result: str) -> None:
    """The CID alone is the answer of version 1."""
    with pytest.raises(errors.CpiError, match="invalid response to create_vm"):
        ExternalCloud([script(f"answer({result})")]).create_vm(AgentId("a"), StemcellCid("s"), {}, {})


def test_update_disk_in_place_may_answer_nothing(script: Script) -> None:
    """Null means the same disk."""
    assert ExternalCloud([script("answer(None)")]).update_disk(DISK, MiB(1), {}) == DISK


ERRORS = [
    (name, kind, name in {"NoDiskSpace", "DiskNotAttached", "DiskNotFound", "VMCreationFailed"})
    for name, kind in ((kind.__name__, kind) for kind in errors.TEN)
]


@pytest.mark.parametrize(("name", "kind", "keeps"), ERRORS)
def test_an_error_comes_back_as_its_class(script: Script, name: str, kind: type[errors.Error], *, keeps: bool) -> None:
    """ok_to_retry is kept where the director keeps it."""
    body = f'answer(None, {{"type": "Bosh::Clouds::{name}", "message": "why", "ok_to_retry": True}})'
    with pytest.raises(errors.Error) as raised:
        ExternalCloud([script(body)]).delete_vm(VM)
    assert type(raised.value) is kind
    assert (raised.value.message, raised.value.ok_to_retry) == ("why", keeps)


@pytest.mark.parametrize(
    ("type_", "message", "kind", "told"),
    [
        ("Unknown", "boom", errors.CloudError, "Unknown: boom"),
        ("InvalidCall", "Method is not known, got 'x'", errors.NotImplemented, "Method is not known, got 'x'"),
        ("InvalidCall", "Arguments are wrong", errors.CloudError, "InvalidCall: Arguments are wrong"),
        ("Bosh::Clouds::CloudError", "Invalid Method: x", errors.NotImplemented, "Invalid Method: x"),
    ],
)
def test_other_errors_are_taken_as_the_director_takes_them(
    script: Script, type_: str, message: str, kind: type[errors.Error], told: str
) -> None:
    """Two older spellings mean that there is no such method."""
    with pytest.raises(errors.Error) as raised:
        ExternalCloud([script(f"answer(None, {{'type': {type_!r}, 'message': {message!r}, 'ok_to_retry': False}})")]).delete_vm(
            VM
        )
    assert type(raised.value) is kind
    assert raised.value.message == told


def test_an_exit_status_matters_to_the_command_line_only(script: Script) -> None:
    """The director reads the answer and passes over the status."""
    executable = script("answer(True)\nsys.exit(3)")
    assert ExternalCloud([executable]).has_vm(VM)
    with pytest.raises(errors.CloudError, match="ended has_vm with exit status 3"):
        ExternalCloud([executable], caller="cli").has_vm(VM)


def test_an_executable_that_does_not_read_its_request_may_answer(tmp_path: Path) -> None:
    """A request larger than the pipe does not block us."""
    path = tmp_path / "deaf"
    path.write_text("""#!/bin/sh
echo '{"result": {"api_version": 3}, "error": null, "log": ""}'
""")
    path.chmod(0o755)
    context = CallContext(properties={"large": "x" * 1_000_000})
    assert ExternalCloud([str(path)], context).info().api_version == 3


@pytest.mark.parametrize("kind", ["missing", "not executable"])
def test_an_executable_that_cannot_be_started_is_named(tmp_path: Path, kind: str) -> None:
    """With the system's reason."""
    path = tmp_path / "executable"
    if kind != "missing":
        path.write_text("#!/bin/sh\n")
    with pytest.raises(errors.CpiError, match=r"cannot start .*executable: (No such file|Permission denied)"):
        ExternalCloud([str(path)]).has_vm(VM)


def test_every_call_is_told_with_its_log_and_stderr(script: Script) -> None:
    """After a failure too; secrets of the request do not show."""
    told: list[CallRecord] = []
    body = """
sys.stderr.write(f"login with {request['context']['password']}")
answer(None, {"type": "Bosh::Clouds::CloudError", "message": request["context"]["password"], "ok_to_retry": False}, "looked")
"""
    cloud = ExternalCloud([script(body)], CallContext(properties={"password": "hunter22"}), on_call=told.append)
    with pytest.raises(errors.CloudError, match=r"^<redacted>$"):
        cloud.delete_vm(VM)
    assert [record.method for record in told] == ["info", "delete_vm"]
    assert (told[1].log, told[1].stderr) == ("looked", "login with <redacted>")
    assert isinstance(told[1].error, errors.CloudError)
    assert told[0].error is None


def test_its_powers_are_what_the_user_says(script: Script) -> None:
    """An executable declares none."""
    powers = frozenset({Capability.SNAPSHOTS})
    assert ExternalCloud([script("")], capabilities=powers).capabilities == powers
    assert ExternalCloud([script("")]).capabilities == frozenset()


def test_many_threads_may_call_at_once(script: Script, tmp_path: Path) -> None:
    """And the version is still asked once."""
    cloud = ExternalCloud([script("answer(True)")])
    threads = [threading.Thread(target=cloud.has_vm, args=(VM,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(call["method"] for call in calls(tmp_path)) == ["has_vm"] * 8 + ["info"]


def test_it_can_be_connected_like_a_driver(script: Script) -> None:
    """With the command among its properties; faults are told all at once."""
    config = CloudConfig("external", {"command": [script("answer(True)")], "caller": "cli"})
    with ExternalCloud.connect(config) as cloud:
        assert cloud.has_vm(VM)
    with pytest.raises(errors.CpiError, match=r"(?s)external.comand: unknown key.*external.command: is missing"):
        ExternalCloud.connect(CloudConfig("external", {"comand": []}))
