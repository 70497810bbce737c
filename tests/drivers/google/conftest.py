"""A Google Cloud for one worker, emptied before each test."""

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, DiskCid, StemcellCid
from cpi.contract.model import Network, Networks, Vm
from cpi.contract.units import MiB
from cpi.rpc import child
from fixtures.clouds.google.images_to_upload import packed_image
from fixtures.clouds.google.lab import ZONE, Lab, lab
from fixtures.proxy import Answer, Request, Rule, effects
from tests.drivers.conftest import ForkServers

GIB = MiB(1024)
WAIT = "POST operations/{name}/wait"

AtOnce = Callable[..., list[Any]]
Counted = Callable[[Callable[[], object]], Counter[str]]


@pytest.fixture(scope="session")
def running_lab() -> Iterator[Lab]:
    """The fake and the proxy, started once."""
    with lab() as running:
        yield running


@pytest.fixture
def google(running_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """An empty project, where calls are counted, no time is taken. What the fake answers wrongly fails the test.

    The folder of what was made a moment ago is the test's own: the names in it may be those of another test.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    running_lab.proxy.withdraw_all()
    running_lab.reset(operation_calls=2)
    running_lab.proxy.forget_calls()
    yield running_lab
    running_lab.census()


@pytest.fixture(
    params=[
        pytest.param({"operation_calls": 1}, id="at once"),
        pytest.param({"operation_calls": 2}, id="after the look of a repeat"),
        pytest.param({"operation_calls": 3}, id="a call later"),
        pytest.param({"operation_calls": 20}, id="late"),
        pytest.param({"operation_calls": 4, "exclusive": True}, id="one after the other"),
    ]
)
def operations_end(google: Lab, request: pytest.FixtureRequest) -> None:
    """Of machines and clouds fast and slow: when an operation ends that an earlier call began and did not wait for."""
    google.set(**request.param)


@pytest.fixture
def cloud(google: Lab) -> Iterator[Cloud]:
    """The driver."""
    with cpi.connect(google.config()) as connected:
        yield connected


@pytest.fixture
def image(tmp_path: Path) -> str:
    """A heavy stemcell's image."""
    return str(packed_image(tmp_path / "image"))


class Helper:
    """Short ways to make things."""

    def __init__(self, google: Lab, cloud: Cloud) -> None:
        self.google, self.cloud = google, cloud
        self.stemcell = StemcellCid("stemcell-of-the-helper")
        google.make_image(self.stemcell)
        self._addresses = google.free_addresses()

    def manual(self, **properties: object) -> Networks:
        """One manual network with an address of its own."""
        return {"default": Network(ip=next(self._addresses), cloud_properties={"subnetwork_name": "default", **properties})}

    def vm(
        self,
        *,
        networks: Networks | None = None,
        token: str | None = None,
        disk_cids: tuple[DiskCid, ...] = (),
        env: dict[str, Any] | None = None,
        **properties: object,
    ) -> Vm:
        """A VM."""
        wanted = {"machine_type": "n1-standard-1", "zone": ZONE, **properties}
        found = {key: value for key, value in wanted.items() if value is not None}
        return self.cloud.create_vm(
            AgentId("agent"), self.stemcell, found, networks or self.manual(), disk_cids, env or {}, token
        )

    def disk(self, **properties: object) -> DiskCid:
        """A disk of 1 GiB."""
        return self.cloud.create_disk(GIB, {"zone": ZONE, **properties})

    def settings(self, vm_cid: str) -> dict[str, Any]:
        """The agent's settings in a VM's metadata, read beside the driver."""
        items = self.google.see("instances", vm_cid)["metadata"]["items"]
        found: dict[str, Any] = json.loads(next(item["value"] for item in items if item["key"] == "bosh_settings"))
        return found


@pytest.fixture
def helper(google: Lab, cloud: Cloud) -> Helper:
    """A stemcell and a network to make VMs with."""
    made = Helper(google, cloud)
    google.proxy.forget_calls()
    return made


@pytest.fixture
def counted(google: Lab) -> Counted:
    """Counts the calls of what is done; waits for operations are left out."""

    def count(action: Callable[[], object]) -> Counter[str]:
        google.proxy.forget_calls()
        action()
        counts = google.proxy.counts()
        del counts[WAIT]
        return counts

    return count


def refusal(reason: str, status: int = 400, message: str = "") -> Answer:
    """An error as Google answers it."""
    told = {"message": message or reason, "domain": "global", "reason": reason}
    body = json.dumps({"error": {"code": status, "message": message or reason, "errors": [told]}}).encode()
    return Answer(status, body, {"Content-Type": "application/json"})


def meeting(action: str, processes: int = 2) -> Rule:
    """Holds the first calls of action until as many have come: none of the processes is done before the others have looked."""
    barrier = threading.Barrier(processes, timeout=60)

    def held(_: Request) -> None:
        barrier.wait()

    return Rule(action, effects.decided(held), times=processes)


@pytest.fixture
def at_once(google: Lab, tmp_path: Path, fork_servers: ForkServers) -> AtOnce:
    """What processes of the executable answer that are started together, one for each request: results, once all went well."""
    file = tmp_path / "cpi.json"
    file.write_text(json.dumps(google.config()))
    command = [sys.executable, "-m", "cpi", "rpc", "--config", str(file)]

    def answered(request: tuple[str, list[Any]], token: str | None) -> dict[str, Any]:
        context = {"director_uuid": "d", "request_id": "cpi-1", **({"token": token} if token else {})}
        document = {"method": request[0], "arguments": request[1], "context": context, "api_version": 2}
        start = fork_servers("google").start
        done = child.run(command, json.dumps(document).encode(), None, deadline_seconds=120, grace_seconds=10, start=start)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def answers(*requests: tuple[str, list[Any]], token: str | None = None) -> list[Any]:
        with ThreadPoolExecutor(len(requests)) as pool:
            told = list(pool.map(answered, requests, [token] * len(requests)))
        assert [answer["error"] for answer in told] == [None] * len(requests)
        return [answer["result"] for answer in told]

    return answers


def balanced(google: Lab) -> dict[str, Any]:
    """A target pool and a backend service with a group in the zone."""
    region = "projects/a-project/regions/europe-west1"
    group = f"projects/a-project/zones/{ZONE}/instanceGroups/a-group"
    google.control("add", path=f"{region}/targetPools/a-pool", item={"instances": []})
    google.control("add", path=group, item={"_members": []})
    backend = {"group": f"https://www.googleapis.com/compute/v1/{group}"}
    google.control("add", path="projects/a-project/global/backendServices/a-service", item={"backends": [backend]})
    return {"target_pool": "a-pool", "backend_service": "a-service"}
