"""VMs, their making and their end. Their agents only sleep."""

import json
import os
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from cpi.connecting import connect
from cpi.contract import errors
from cpi.contract.ids import DiskCid, StemcellCid
from cpi.contract.model import Network, VmResources
from cpi.contract.operator import ShowsAgentSettings
from cpi.contract.units import MiB
from cpi.kit.waiting import wait_until
from cpi_drivers.local.host import vm_process
from tests.drivers.local.place import AGENT, Place

AGAIN = "token-1"


def test_a_vm_lives_until_it_is_deleted(either: Place) -> None:
    """And leaves nothing but its stemcell."""
    stemcell_cid = either.stemcell()
    vm_cid = either.vm(stemcell_cid).cid
    process = either.process(vm_cid)
    assert either.connect().has_vm(vm_cid)
    assert process.pids()
    either.cloud.delete_vm(vm_cid)
    assert not either.cloud.has_vm(vm_cid)
    assert not process.alive()
    either.cloud.delete_vm(vm_cid)
    either.cloud.delete_stemcell(stemcell_cid)
    assert either.leftovers() == []


def test_a_vm_whose_processes_are_gone_is_lost(place: Place) -> None:
    """reboot_vm starts it again, with the same disks."""
    vm_cid, disk_cid = place.attached()
    (leader,) = place.process(vm_cid).pids()
    os.killpg(leader, signal.SIGKILL)
    wait_until(lambda: not place.cloud.has_vm(vm_cid), "its end", deadline_seconds=60)
    assert place.cloud.get_disks(vm_cid) == [disk_cid]
    place.cloud.reboot_vm(vm_cid)
    assert place.cloud.has_vm(vm_cid)
    assert set(place.persistent_disks(vm_cid)) == {disk_cid}


def test_rebooting_starts_other_processes(place: Place) -> None:
    """The old ones are gone."""
    vm_cid = place.vm().cid
    before = place.process(vm_cid).pids()
    place.cloud.reboot_vm(vm_cid)
    after = place.process(vm_cid).pids()
    assert after
    assert not set(before) & set(after)


def test_a_job_that_left_the_group_is_found_and_killed(place: Place) -> None:
    """Many programs do so; they would keep the VM alive, and its disk in use."""
    program = "import os, time; os.fork() or os.setsid(); time.sleep(3600)"
    cloud = place.connect(agent={"command": [sys.executable, "-c", program]})
    vm_cid = cloud.create_vm(AGENT, place.stemcell(), {}, {}).cid
    process = place.process(vm_cid)
    wait_until(lambda: len({os.getsid(pid) for pid in process.pids()}) == 2, "both", deadline_seconds=60)
    pids = process.pids()
    cloud.delete_vm(vm_cid)
    wait_until(lambda: not any(_runs(pid) for pid in pids), "their end", deadline_seconds=60)
    assert place.cloud.has_vm(vm_cid) is False


@pytest.mark.root
def test_a_daemon_that_closed_everything_is_found_by_its_mounts(either: Place) -> None:
    """It would keep the disk in use for ever."""
    program = "import os, time; os.fork() or (os.setsid(), os.closerange(3, 256)); time.sleep(3600)"
    cloud = either.connect(agent={"command": [sys.executable, "-c", program]})
    vm_cid = cloud.create_vm(AGENT, either.stemcell(), {}, {}).cid
    process = either.process(vm_cid)
    wait_until(lambda: len({os.getsid(pid) for pid in process.pids()}) == 2, "both", deadline_seconds=60)
    pids = process.pids()
    cloud.delete_vm(vm_cid)
    wait_until(lambda: not any(_runs(pid) for pid in pids), "their end", deadline_seconds=60)


def test_a_vms_root_lets_its_users_through(either: Place) -> None:
    """sshd refuses logins where it does not; the VM's folder above it stays its owner's."""
    vm_cid = either.vm().cid
    folder = either.layout.vm(vm_cid)
    root = f"/proc/{either.process(vm_cid).pids()[0]}/root{folder}/root"
    assert stat.S_IMODE(Path(root).stat().st_mode) == 0o755
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.root
def test_a_daemon_that_is_all_that_is_left_of_a_vm_is_killed(either: Place) -> None:
    """Nobody holds the lock any more, so the VM is lost, but the daemon still writes to its disk."""
    program = "import os, time; os.fork() and os._exit(0); os.setsid(); os.closerange(0, 256); time.sleep(3600)"
    cloud = either.connect(agent={"command": [sys.executable, "-c", program]})
    vm_cid = cloud.create_vm(AGENT, either.stemcell(), {}, {}).cid
    process = either.process(vm_cid)
    wait_until(lambda: not process.alive() and process.pids(), "the daemon alone", deadline_seconds=60)
    (daemon,) = process.pids()
    assert cloud.has_vm(vm_cid) is False
    cloud.delete_vm(vm_cid)
    wait_until(lambda: not _runs(daemon), "its end", deadline_seconds=60)


def _runs(pid: int) -> bool:
    try:
        # a zombie is gone as well: who has to bury it is init's business
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_who_only_asks_if_a_vm_lives_is_not_part_of_it(place: Place) -> None:
    """Deleting it would kill other CPIs."""
    process = place.process(place.vm().cid)
    pids = process.pids()
    program = "import os; os.open(sys.argv[2], os.O_RDWR); import fcntl; print('open', flush=True); import time; time.sleep(60)"
    asker = place.python(program, str(process._lock))
    try:
        assert asker.stdout is not None
        assert asker.stdout.readline() == "open\n"
        assert process.pids() == pids
    finally:
        asker.kill()
        asker.communicate()


def test_deleting_a_vm_sets_its_disks_and_addresses_free(either: Place) -> None:
    """At once: another VM takes them over."""
    stemcell_cid, disk_cid = either.stemcell(), either.disk()
    networks = {"net": Network(ip="10.3.0.7", netmask="255.255.255.0")}
    first = either.vm(stemcell_cid, networks).cid
    either.cloud.attach_disk(first, disk_cid)
    either.cloud.delete_vm(first)
    second = either.vm(stemcell_cid, networks).cid
    either.cloud.attach_disk(second, disk_cid)
    assert either.cloud.get_disks(second) == [disk_cid]


def test_the_same_token_is_the_same_vm(place: Place) -> None:
    """With the same networks."""
    stemcell_cid = place.stemcell()
    first = place.vm(stemcell_cid, token=AGAIN)
    assert place.vm(stemcell_cid, token=AGAIN) == first
    assert place.vm(stemcell_cid).cid != first.cid
    assert place.count("vms") == 2


def test_what_does_not_exist_is_named(place: Place) -> None:
    """And nothing is left."""
    stemcell_cid = place.stemcell()
    before = place.leftovers()
    with pytest.raises(errors.CloudError, match="there is no stemcell stemcell-absent"):
        place.cloud.create_vm(AGENT, StemcellCid("stemcell-absent"), {}, {})
    with pytest.raises(errors.DiskNotFound, match="there is no disk disk-absent"):
        place.cloud.create_vm(AGENT, stemcell_cid, {}, {}, [DiskCid("disk-absent")])
    with pytest.raises(errors.NetworkNotFound, match="there is no network net-absent, which network 'a' of the VM asks for"):
        place.cloud.create_vm(
            AGENT, stemcell_cid, {}, {"a": Network(type="dynamic", cloud_properties={"network_cid": "net-absent"})}
        )
    assert place.leftovers() == before


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"bosh": 3}, "env.bosh: expected an object, got int"),
        ({"bosh": {"mbus": []}}, "env.bosh.mbus: expected an object, got list"),
        ({"bosh": {"tags": "a"}}, "env.bosh.tags: expected an object, got str"),
    ],
)
def test_an_env_of_the_wrong_shape_is_refused(place: Place, env: dict[str, Any], words: str) -> None:
    """Naming where; nothing is left."""
    stemcell_cid = place.stemcell()
    with pytest.raises(errors.CpiError) as caught:
        place.vm(stemcell_cid, env=env)
    assert words in caught.value.message
    assert place.count("vms") == 0


def test_an_agent_that_does_not_start_is_said_and_leaves_nothing(place: Place) -> None:
    """A repeat may succeed."""
    stemcell_cid = place.stemcell()
    before = place.leftovers()
    cloud = place.connect(agent={"command": ["/nowhere/agent"]})
    with pytest.raises(errors.VMCreationFailed, match="/nowhere/agent") as caught:
        cloud.create_vm(AGENT, stemcell_cid, {}, {"net": Network(ip="10.1.1.1")})
    assert caught.value.ok_to_retry
    assert place.leftovers() == before


def test_what_cannot_be_removed_is_not_to_be_tried_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next attempt would leave another."""
    stemcell_cid = place.stemcell()
    cloud = place.connect(agent={"command": ["/nowhere/agent"]})

    def fail(_: object) -> None:
        raise errors.CloudError("it stays")

    with monkeypatch.context() as patch:
        patch.setattr(vm_process.VmProcess, "kill", fail)
        with pytest.raises(errors.VMCreationFailed) as caught:
            cloud.create_vm(AGENT, stemcell_cid, {}, {})
    assert not caught.value.ok_to_retry
    assert place.cloud.has_vm(DiskCid("any")) is False  # type: ignore[arg-type]  # whatever call comes next removes it
    assert place.count("vms") == 0


def test_a_removal_that_fails_again_is_told_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A director that is told "deleted" forgets the VM; once nothing stands in the way it is gone."""
    vm_cid = place.vm().cid

    def fail(_: object) -> None:
        raise errors.CloudError("it stays")

    with monkeypatch.context() as patch:
        patch.setattr(vm_process.VmProcess, "kill", fail)
        for _ in range(2):
            with pytest.raises(errors.CloudError, match="it stays"):
                place.cloud.delete_vm(vm_cid)
    assert place.process(vm_cid).alive()
    place.cloud.delete_vm(vm_cid)
    assert not place.process(vm_cid).alive()
    assert place.count("vms") == 0


def test_an_interrupted_create_vm_leaves_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM arrives as an exception that is no Exception."""

    class Interrupted(BaseException):
        pass

    def interrupt(self: vm_process.VmProcess) -> None:
        start(self)
        raise Interrupted

    stemcell_cid, start = place.stemcell(), vm_process.VmProcess.start
    before = place.leftovers()
    monkeypatch.setattr(vm_process.VmProcess, "start", interrupt)
    with pytest.raises(Interrupted):
        place.vm(stemcell_cid, {"net": Network(ip="10.1.1.1")})
    assert place.leftovers() == before


def test_all_of_env_reaches_the_settings(place: Place) -> None:
    """With an mbus and a certificate where it brought none; readable by the owner alone."""
    assert isinstance(place.cloud, ShowsAgentSettings)
    vm = place.vm(env={"anything": [1, None], "bosh": {"password": "x", "tags": {"team": "a"}}})
    settings = place.cloud.agent_settings(vm.cid)
    address = vm.networks["net"].ip
    assert settings["agent_id"] == AGENT
    assert settings["env"]["anything"] == [1, None]
    assert settings["env"]["bosh"]["password"] == "x"  # noqa: S105 - an invented one
    assert settings["mbus"].endswith(f"@{address}:6868")
    assert settings["env"]["bosh"]["mbus"]["urls"] == [settings["mbus"]]
    assert set(settings["env"]["bosh"]["mbus"]["cert"]) == {"ca", "certificate", "private_key"}
    assert (place.layout.vm(vm.cid) / "settings.json").stat().st_mode & 0o777 == 0o600
    assert json.loads(place.row("vms", vm.cid)["metadata"]) == {"team": "a"}


def test_the_mbus_that_came_is_kept(place: Place) -> None:
    """Address, certificate and all."""
    mbus: dict[str, Any] = {"urls": ["https://u:p@127.1.2.3:7000"], "cert": {"ca": "CA", "certificate": "C", "private_key": "K"}}
    settings = place.cloud.agent_settings(place.vm(env={"bosh": {"mbus": mbus}}).cid)
    assert settings["env"]["bosh"]["mbus"] == mbus
    assert settings["mbus"] == mbus["urls"][0]


def test_the_configured_mbus_is_taken_with_the_vms_own_address(place: Place) -> None:
    """As create-env has it: a port of all addresses."""
    document = place.document()
    document["cloud"]["properties"]["agent"] = {"mbus": "https://vcap:secret@0.0.0.0:6999"}
    cloud = connect(document)
    cert = {"ca": "CA", "certificate": "C", "private_key": "K"}
    vm = cloud.create_vm(AGENT, place.stemcell(), {}, {"net": Network(type="dynamic")}, (), {"bosh": {"mbus": {"cert": cert}}})
    settings = place.cloud.agent_settings(vm.cid)
    assert settings["mbus"] == f"https://vcap:secret@{vm.networks['net'].ip}:6999"
    assert settings["env"]["bosh"]["mbus"]["cert"] == cert


def test_an_mbus_that_the_agent_does_not_know_is_refused(place: Place) -> None:
    """Its own agent would end at once; another one may know it."""
    env = {"bosh": {"mbus": {"urls": ["amqp://u:secret@10.0.0.1:5672"]}}}
    cloud, stemcell_cid = place.connect(agent={"command": []}), place.stemcell()
    with pytest.raises(errors.CpiError, match="has the scheme 'amqp'") as caught:
        cloud.create_vm(AGENT, stemcell_cid, {}, {}, (), env)
    assert "secret" not in caught.value.message
    assert place.cloud.has_vm(place.vm(stemcell_cid, env=env).cid)


def test_another_agent_gets_its_placeholders(place: Place) -> None:
    """agent.command is what runs in the VM."""
    program = "import sys, time; open(sys.argv[1] + '/said', 'w').write(' '.join(sys.argv[2:])); time.sleep(3600)"
    command = [sys.executable, "-c", program, "{vm_dir}", "{settings}", "{agent_id}"]
    vm_cid = place.connect(agent={"command": command}).create_vm(AGENT, place.stemcell(), {}, {}).cid
    said, folder = place.layout.vm(vm_cid) / "said", place.layout.vm(vm_cid)
    wait_until(lambda: said.exists() and said.read_text() != "", "its word", deadline_seconds=60)
    assert said.read_text() == f"{folder}/settings.json {AGENT}"


def test_a_vm_does_not_hold_its_makers_pipes(place: Place) -> None:
    """A director waits until everybody who has them is gone."""
    stemcell_cid = place.stemcell()
    program = f"from cpi import AgentId; print(cloud.create_vm(AgentId('a'), {str(stemcell_cid)!r}, {{}}, {{}}).cid)"
    maker = place.python(program)
    out, err = maker.communicate(timeout=60)
    assert place.cloud.has_vm(out.strip()), err  # type: ignore[arg-type]  # a string is what is printed


def test_metadata_of_a_vm_is_added(place: Place) -> None:
    """Strings, whatever came."""
    vm_cid = place.vm(env={"bosh": {"tags": {"a": "1"}}}).cid
    place.cloud.set_vm_metadata(vm_cid, {"index": 4, "b": None})
    assert json.loads(place.row("vms", vm_cid)["metadata"]) == {"a": "1", "index": "4", "b": ""}


def test_the_smallest_vm_is_one_of_that_size(place: Place) -> None:
    """create_vm takes the answer."""
    properties = place.cloud.calculate_vm_cloud_properties(VmResources(2, MiB(512), MiB(4096)))
    assert properties == {"cpu": 2, "ram": 512, "ephemeral_disk_size": 4096}
    place.cloud.create_vm(AGENT, place.stemcell(), properties, {})
    with pytest.raises(errors.CpiError, match="positive whole numbers: cpu, ram"):
        place.cloud.calculate_vm_cloud_properties(VmResources(0, MiB(-1), MiB(1)))


def test_a_stemcell_in_use_is_not_deleted(place: Place) -> None:
    """The VM's root lies on it."""
    stemcell_cid = place.stemcell()
    vm_cid = place.vm(stemcell_cid).cid
    with pytest.raises(errors.CloudError, match=f"VM {vm_cid} runs on it"):
        place.cloud.delete_stemcell(stemcell_cid)
    place.cloud.delete_vm(vm_cid)
    place.cloud.delete_stemcell(stemcell_cid)


def test_the_address_of_another_program_is_refused(place: Place) -> None:
    """A VM that could not be reached would help nobody."""
    stemcell_cid, address = place.stemcell(), f"127.63.{os.getpid() % 250}.{os.getpid() // 250 % 250 + 1}"
    with socket.socket() as taken:
        taken.bind((address, 6868))
        taken.listen(1)
        with pytest.raises(errors.VMCreationFailed, match=f"another program listens at {address} port 6868"):
            place.vm(stemcell_cid, {"net": Network(ip=address)})
    assert place.count("vms") == 0


def test_a_vm_does_not_see_its_callers_environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A director's has passwords and tokens in it."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-caller")
    vm_cid = place.vm().cid
    lock = (place.layout.vm(vm_cid) / "agent.lock").read_text(encoding="ascii").split()[0]
    processes = [psutil.Process(int(lock)), *psutil.Process(int(lock)).children(recursive=True)]
    assert [process.pid for process in processes if "AWS_SECRET_ACCESS_KEY" in process.environ()] == []
    assert all("PATH" in process.environ() for process in processes)
