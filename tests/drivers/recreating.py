"""The recreate sequence on any driver's cloud; mixed into a driver's conformance tests."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from cpi.agent.protocol import Agent, Deadlines
from cpi.agent.reaching import Reach
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, StemcellCid, VmCid
from cpi.resurrection.instance import Instance
from cpi.resurrection.report import Order, Standing, Verdict
from cpi.resurrection.sequence import STEPS, Recreation
from cpi.testing.conformance.fixtures import ContractFixtures
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker


class Obliging:
    """Stands for an agent: many clouds of tests run none. It mounts what it is told to."""

    def __init__(self) -> None:
        self.mounted: list[str] = []
        self.hints: dict[str, Any] = {}

    def exchange(self, request: Mapping[str, Any], deadline_seconds: float) -> Mapping[str, Any]:
        match request["method"]:
            case "list_disk":
                return {"value": self.mounted}
            case "add_persistent_disk":
                cid, self.hints[cid] = request["arguments"][0], request["arguments"][1]
            case "mount_disk":
                self.mounted.append(request["arguments"][0])
        return {"value": {}}

    def close(self) -> None:
        """Nothing is open."""


def _twice(_name: str, call: Callable[[], Any]) -> Any:
    """As after a death between a step's doing and its record."""
    first = call()
    return first if "fault" in first else call()


class RecreationClauses(ContractFixtures):
    """What cpi.resurrection does to a cloud."""

    def test_an_instance_is_recreated_at_its_address_with_its_disk(
        self, cloud: Ledger, make: Maker, harness: Harness, stemcell_cid: StemcellCid
    ) -> None:
        """Every step done twice: one other VM at the same address, the disk attached to it and never deleted."""
        networks = harness.networks()
        vm, disk_cid = make.vm(networks=networks), make.disk()
        hint = cloud.attach_disk(vm.cid, disk_cid)
        instance = Instance(
            name="db/0",
            config="",
            vm=vm.cid,
            stemcell=stemcell_cid,
            networks={name: network.to_document() for name, network in networks.items()},
            group="db",
            properties=harness.vm_cloud_properties,
            env=harness.env,
            disks=(disk_cid,),
            metadata={"name": "db/0"},
        )
        order = Order(file="", name="db/0", vm=vm.cid, plugin="suite", verdict=Verdict.UNRESPONSIVE, ask=False)
        transport = Obliging()

        def obliging(_reach: Reach, _cloud: Cloud, _vm: VmCid, _made: ExitStack, _deadlines: Deadlines | None = None) -> Agent:
            return Agent(transport)

        report = Recreation(instance, order, cloud, keep=_twice, reach=obliging).report()
        assert report.standing is Standing.RECREATED, report.message
        assert tuple(step.name for step in report.steps) == STEPS
        assert report.vm is not None
        assert report.vm != vm.cid
        assert (cloud.has_vm(vm.cid), cloud.has_vm(report.vm)) == (False, True)
        assert tuple(cloud.get_disks(report.vm)) == (disk_cid,)
        assert cloud.has_disk(disk_cid)
        assert transport.mounted == [disk_cid]
        assert type(transport.hints[DiskCid(disk_cid)]) is type(hint.to_wire())
        cloud.detach_disk(report.vm, disk_cid)
