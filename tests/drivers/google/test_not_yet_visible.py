"""What was just made may be unknown to the next call once, whichever call it is.

One life of everything that the driver makes goes by, each method in a Cloud of its own, as each CPI call is a process of its own.
The first time that an action names a thing of a kind, Google answers that there is none.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, DiskCid, StemcellCid, VmCid
from cpi.contract.model import NetworkDefinition
from cpi.contract.units import MiB
from fixtures.clouds.google.lab import REGION, ZONE, Lab
from fixtures.proxy import Answer, Forward, Request, Rule, effects
from fixtures.simulated_time import SimulatedTime
from tests.drivers.google.conftest import GIB, Helper, balanced, refusal

pytestmark = pytest.mark.slow

_PATH: Final = re.compile(
    r"(?:zones/[^/\"]+|regions/[^/\"]+|global)/(disks|images|instances|snapshots|subnetworks)/([a-z0-9-]+)(?![\w/])"
)
_OWN_PATH: Final = re.compile(r"/(disks|images|instances|snapshots|subnetworks)/([a-z0-9-]+)(?:/\w+)?$")
_NOTHING: Final = Answer(200, json.dumps({"items": {}}).encode(), {"Content-Type": "application/json"})
_NAMING_NEWS: Final = {
    *((f"DELETE {kind}/{{name}}", kind) for kind in ("disks", "images", "instances", "snapshots", "subnetworks")),
    ("GET disks", "disks"),
    ("GET disks/{name}", "disks"),
    ("GET instances", "instances"),
    ("GET snapshots/{name}", "snapshots"),
    ("POST disks", "snapshots"),
    ("POST disks/{name}/createSnapshot", "disks"),
    ("POST disks/{name}/resize", "disks"),
    ("POST disks/{name}/setLabels", "disks"),
    ("POST instanceGroups/{name}/addInstances", "instances"),
    ("POST instances", "images"),
    ("POST instances/{name}/attachDisk", "disks"),
    ("POST instances/{name}/attachDisk", "instances"),
    ("POST instances/{name}/detachDisk", "instances"),
    ("POST instances/{name}/reset", "instances"),
    ("POST instances/{name}/setLabels", "instances"),
    ("POST instances/{name}/setMetadata", "instances"),
    ("POST targetPools/{name}/addInstance", "instances"),
}
_COURTESIES: Final = ("removeInstance", "removeInstances")  # never repeated: a VM goes without them


class Late:
    """A Google that does not know a thing the first time that an action names it."""

    def __init__(self) -> None:
        self.met: set[tuple[str, str]] = set()
        self._made: set[tuple[str, str]] = set()

    async def __call__(self, request: Request, forward: Forward) -> Answer:
        """The answer."""
        for kind, name in self._named(request):
            if (kind, name) in self._made and (request.action, kind) not in self.met and not request.path.endswith(_COURTESIES):
                self.met.add((request.action, kind))
                if "/aggregated/" in request.path:
                    return _NOTHING
                place = f"projects/a-project/zones/{ZONE}" if kind in ("disks", "instances") else "projects/a-project/global"
                place = f"projects/a-project/regions/{REGION}" if kind == "subnetworks" else place
                return refusal("notFound", 404, f"The resource '{place}/{kind}/{name}' was not found")
        answer = await forward(request)
        self._note(request, answer)
        return answer

    def _note(self, request: Request, answer: Answer) -> None:
        if request.method != "POST" or answer.status != 200:
            return
        own = request.path.rsplit("/", 1)[1]
        kind = "snapshots" if own == "createSnapshot" else own
        if kind in ("disks", "images", "instances", "snapshots", "subnetworks"):
            self._made.add((kind, json.loads(request.body)["name"]))

    def _named(self, request: Request) -> Iterator[tuple[str, str]]:
        if own := _OWN_PATH.search(request.path):
            yield own[1], own[2]
        yield from _PATH.findall(request.body.decode("utf-8", "replace"))
        kind = request.path.rsplit("/", 1)[1]
        for name in re.findall(r'name = "([^"]+)"', request.form.get("filter", "")):
            yield kind, name


class Life:
    """Everything that the driver makes, from its beginning to its end; each method in a process of its own."""

    def __init__(self, google: Lab, helper: Helper, image: str) -> None:
        self._google, self._image = google, image
        self._networks = helper.manual()
        self._balanced = balanced(google)

    def call(self, method: str, *arguments: Any) -> Any:
        """One method by a process of its own."""
        with cpi.connect(self._google.config()) as cloud:
            return getattr(cloud, method)(*arguments)

    def goes_by(self) -> None:
        """From a stemcell to nothing."""
        stemcell: StemcellCid = self.call("create_stemcell", self._image, {"disk": 1024}, {})
        near: DiskCid = self.call("create_disk", GIB, {"zone": ZONE})
        wanted = {"machine_type": "n1-standard-1", "zone": ZONE, **self._balanced}
        vm_cid: VmCid = self.call("create_vm", AgentId("a"), stemcell, wanted, self._networks, (near,), {}).cid
        self._of_the_vm(vm_cid)
        self._of_the_disk(vm_cid, near)
        self.call("delete_vm", vm_cid)
        self.call("delete_stemcell", stemcell)
        network = NetworkDefinition(netmask_bits=26, cloud_properties={"region": REGION})
        self.call("delete_network", self.call("create_network", network).cid)

    def _of_the_vm(self, vm_cid: VmCid) -> None:
        assert self.call("has_vm", vm_cid)
        self.call("set_vm_metadata", vm_cid, {"job": "j", "index": "0"})
        self.call("reboot_vm", vm_cid)
        assert self.call("get_disks", vm_cid) == []
        self.call("agent_settings", vm_cid)

    def _of_the_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        assert self.call("has_disk", disk_cid)
        self.call("set_disk_metadata", disk_cid, {"deployment": "d"})
        self.call("resize_disk", disk_cid, MiB(2048))
        disk_cid = self.call("update_disk", disk_cid, MiB(2048), {"type": "pd-ssd"})
        self.call("attach_disk", vm_cid, disk_cid)
        self.call("grow_attached_disk", vm_cid, disk_cid, MiB(4096))
        self.call("delete_snapshot", self.call("snapshot_disk", disk_cid, {}))
        self.call("detach_disk", vm_cid, disk_cid)
        self.call("delete_disk", disk_cid)


def test_whatever_call_names_a_new_thing_may_find_none_once(
    google: Lab, helper: Helper, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing fails, nothing is left, and every action that names something new was met."""
    SimulatedTime().rule(monkeypatch)
    life, late = Life(google, helper, image), Late()
    before = google.census()
    google.proxy.inject(Rule("*", late))
    life.goes_by()
    assert google.census() == before
    assert late.met == _NAMING_NEWS


def test_a_thing_that_stays_unknown_is_an_error_in_the_end(
    google: Lab, helper: Helper, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute, and not a word of "gone" about what is listed; what is not new is missing at once."""
    SimulatedTime().rule(monkeypatch)
    vm, disk_cid = helper.vm(), helper.disk()
    gone = refusal("notFound", 404, f"The resource 'projects/a-project/zones/{ZONE}/disks/{disk_cid}' was not found")
    rule = Rule("POST instances/{name}/attachDisk", effects.decided(lambda _: gone))
    google.proxy.inject(rule)
    with pytest.raises(errors.CloudError, match="is listed, and cannot be attached yet") as caught:
        cloud.attach_disk(vm.cid, disk_cid)
    assert not isinstance(caught.value, errors.DiskNotFound)
    assert 5 < rule.met < 60
    google.proxy.withdraw(rule)
    google.proxy.forget_calls()
    with pytest.raises(errors.DiskNotFound):
        cloud.attach_disk(vm.cid, DiskCid(f"{disk_cid}x"))
    cloud.delete_disk(disk_cid)
    assert not cloud.has_disk(disk_cid)
    assert max(google.proxy.counts().values()) < 4


def test_a_thing_of_another_zone_is_not_waited_for(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """It is known where it was made."""
    vm = helper.vm()
    disk_cid = helper.disk(zone="europe-west1-c")
    google.proxy.forget_calls()
    with pytest.raises(errors.CloudError):
        cloud.attach_disk(vm.cid, disk_cid)
    assert max(google.proxy.counts().values()) == 1


def test_a_network_named_by_mistake_does_not_wait_for_the_vm(google: Lab, helper: Helper) -> None:
    """The refusal says what is missing."""
    before = google.census()
    with pytest.raises(errors.CloudError, match="none"):
        helper.vm(target_pool="none")
    assert google.census() == before
