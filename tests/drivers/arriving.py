"""What a move between clouds does on the cloud that it goes to, on any driver's cloud; mixed into its conformance tests."""

import contextlib
from unittest.mock import Mock

from msgspec.structs import replace

from cpi.agent.protocol import Agent
from cpi.agent.shell import Shell
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, StemcellCid, VmCid
from cpi.migration.between.destination import Destination
from cpi.migration.between.far import FarSite
from cpi.migration.between.steps import BETWEEN_STEPS
from cpi.migration.disks import Site
from cpi.migration.moving import Move
from cpi.migration.plan import Facts, Order
from cpi.testing.conformance.fixtures import ContractFixtures
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from tests.drivers.recreating import Obliging

_MADE = ("create_vm_there", "wait_for_vm_there", "create_disk_there", "attach_there")


def _arriving(cloud: Ledger, harness: Harness, stemcell_cid: StemcellCid) -> Move:
    """A move from a cloud that is not asked to this one, where agents do as they are told."""
    to = Destination(
        stemcell=stemcell_cid,
        networks={name: network.to_document() for name, network in harness.networks().items()},
        name="db/0",
        properties=harness.vm_cloud_properties,
        env=harness.env,
        metadata={"name": "db/0"},
    )
    order = Order("arriving", VmCid("vm-old"), DiskCid("disk-old"), harness.disk_size, harness.disk_cloud_properties, to=to)
    old = Site(Mock(spec=Cloud), Agent(Obliging()), order.vm_cid, Mock(spec=Shell, root=""))
    old.far = FarSite(lambda: contextlib.nullcontext(cloud), to, order.token)
    old.far._agent = Agent(Obliging())
    return Move(old, order, Facts(frozenset(), (), jobs_run=True))


class ArrivalClauses(ContractFixtures):
    """What cpi.migration.between does to the cloud of the new VM."""

    def test_a_move_arrives_step_by_step_and_is_undone_wholly(
        self, cloud: Ledger, harness: Harness, stemcell_cid: StemcellCid
    ) -> None:
        """Every step done twice: one VM with one disk. Undone, also where what was made is not known: neither is left."""
        move = _arriving(cloud, harness, stemcell_cid)
        for name in _MADE:
            first = BETWEEN_STEPS[name].do(move)
            assert BETWEEN_STEPS[name].do(move) == first
            move = replace(move, state=first)
        vm_cid, disk_cid = move.state.new_vm_cid, move.disk_cid
        assert vm_cid is not None
        assert (cloud.has_vm(vm_cid), cloud.has_disk(disk_cid)) == (True, True)
        assert tuple(cloud.get_disks(vm_cid)) == (disk_cid,)
        for name in reversed(_MADE):
            undo = BETWEEN_STEPS[name].undo
            if undo is not None:
                undo(move)
                undo(move)
        assert not cloud.has_disk(disk_cid)
        with contextlib.suppress(errors.NotImplemented):
            assert not cloud.has_vm(vm_cid)
