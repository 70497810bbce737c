"""Clouds with one fault each, in what they do with VMs."""

import logging
from collections.abc import Sequence

from cpi.contract import errors
from cpi.contract.ids import AgentId, DiskCid, StemcellCid, VmCid
from cpi.contract.model import (
    CloudProperties,
    Env,
    Network,
    Networks,
    Vm,
)
from cpi.contract.units import MiB
from tests.suite.faults import found_by
from tests.suite.memory_cloud import MemoryCloud

_log = logging.getLogger(__name__)


@found_by(
    "delete_vm_then_the_data_is_there_on_the_next_vm",
    "delete_vm_given_an_attached_disk_leaves_it_detached",
)
class DeletesDisksOfVms(MemoryCloud):
    """delete_vm takes the attached disks with it."""

    def delete_vm(self, vm_cid: VmCid) -> None:
        for cid in [cid for cid, disk in self.memory.disks.items() if disk.vm_cid == vm_cid]:
            del self.memory.disks[cid]
        super().delete_vm(vm_cid)


@found_by(
    "delete_vm_then_the_data_is_there_on_the_next_vm",
    "delete_vm_given_an_attached_disk_leaves_it_detached",
)
class KeepsDisksOfVms(MemoryCloud):
    """delete_vm leaves the disks attached to a VM that is gone."""

    def delete_vm(self, vm_cid: VmCid) -> None:
        self.memory.vms.pop(vm_cid, None)


@found_by(
    "delete_tagged_resource_then_it_alone_is_gone",
    "delete_vm_again_is_success_or_vm_not_found",
    "delete_vm_raises_nothing_but_vm_not_found_for_a_missing_vm",
)
class RefusesMissingVms(MemoryCloud):
    """delete_vm calls a missing VM an error that directors do not forgive."""

    def delete_vm(self, vm_cid: VmCid) -> None:
        if vm_cid not in self.memory.vms:
            raise errors.CloudError(f"the VM {vm_cid} does not exist")
        super().delete_vm(vm_cid)


@found_by(
    "create_vm_raises_without_showing_a_secret",
    "delete_network_then_it_is_gone",
    "create_vm_raises_cloud_error_for_an_unknown_stemcell",
    "create_vm_raises_cloud_error_for_an_unknown_disk",
    "create_vm_raises_an_error_for_an_impossible_network",
    "create_vm_raises_vm_creation_failed_or_cloud_error_for_a_taken_address",
    "create_vm_raises_and_the_same_token_serves_again",
    "delete_stemcell_then_it_is_gone",
)
class LeaksWhenCreationFails(MemoryCloud):
    """create_vm makes a disk for itself first, and forgets it when the rest fails."""

    def _create_vm(
        self, agent_id: AgentId, stemcell_cid: StemcellCid, networks: Networks, disk_cids: Sequence[DiskCid], env: Env | None
    ) -> VmCid:
        ephemeral = self._create_disk(MiB(1), None)
        cid = super()._create_vm(agent_id, stemcell_cid, networks, disk_cids, env)
        del self.memory.disks[ephemeral]
        return cid


@found_by(
    "create_vm_given_disk_cids_attaches_none",
)
class AttachesAtCreation(MemoryCloud):
    """create_vm attaches the disks that it was told for locality."""

    def _create_vm(
        self, agent_id: AgentId, stemcell_cid: StemcellCid, networks: Networks, disk_cids: Sequence[DiskCid], env: Env | None
    ) -> VmCid:
        cid = super()._create_vm(agent_id, stemcell_cid, networks, disk_cids, env)
        for disk_cid in disk_cids:
            self.attach_disk(cid, disk_cid)
        return cid


@found_by(
    "create_vm_raises_vm_creation_failed_or_cloud_error_for_a_taken_address",
)
class GivesAddressesTwice(MemoryCloud):
    """create_vm does not mind that an address is taken."""

    def _addressed(self, network: Network) -> Network:
        taken = network.ip in self.memory.addresses()
        return network if taken else super()._addressed(network)


@found_by(
    "delete_vm_then_its_addresses_are_free_at_once",
)
class KeepsAddresses(MemoryCloud):
    """An address that was used once is never free again."""

    def _addressed(self, network: Network) -> Network:
        addressed = super()._addressed(network)
        if self.memory.tags.setdefault("addresses", {}).setdefault(str(addressed.ip), "taken") == "used":
            raise errors.CloudError(f"{addressed.ip} is taken")
        self.memory.tags["addresses"][str(addressed.ip)] = "used"
        return addressed


@found_by(
    "create_vm_then_its_settings_hold_all_of_env",
)
class DropsEnv(MemoryCloud):
    """Of env, only what the driver knows reaches the agent."""

    def _create_vm(
        self, agent_id: AgentId, stemcell_cid: StemcellCid, networks: Networks, disk_cids: Sequence[DiskCid], env: Env | None
    ) -> VmCid:
        known = {"bosh": dict((env or {}).get("bosh", {}))}
        return super()._create_vm(agent_id, stemcell_cid, networks, disk_cids, known)


@found_by(
    "create_vm_raises_vm_creation_failed_or_cloud_error_for_a_taken_address",
)
class AsksForRepeats(MemoryCloud):
    """create_vm calls every failure one that a repeat may heal."""

    def _addressed(self, network: Network) -> Network:
        try:
            return super()._addressed(network)
        except errors.VMCreationFailed as error:
            raise errors.VMCreationFailed(error.message, ok_to_retry=True) from error


@found_by(
    "has_vm_raises_cloud_error_when_it_cannot_be_known",
)
class CallsLostVmsGone(MemoryCloud):
    """has_vm answers False where the cloud cannot be reached."""

    def has_vm(self, vm_cid: VmCid) -> bool:
        return self.settings.reachable and super().has_vm(vm_cid)


@found_by(
    "reboot_vm_raises_vm_not_found",
)
class RaisesItsOwnErrors(MemoryCloud):
    """reboot_vm lets an exception of Python through."""

    def reboot_vm(self, vm_cid: VmCid) -> None:
        self.memory.vms[vm_cid].mounted = None


@found_by(
    "create_vm_then_no_secret_is_shown",
    "create_vm_raises_without_showing_a_secret",
)
class ShowsSecrets(MemoryCloud):
    """env goes to the log."""

    def create_vm(
        self,
        agent_id: AgentId,
        stemcell_cid: StemcellCid,
        cloud_properties: CloudProperties,
        networks: Networks,
        disk_cids: Sequence[DiskCid] = (),
        env: Env | None = None,
        token: str | None = None,
    ) -> Vm:
        _log.info("env is %s", env)
        return super().create_vm(agent_id, stemcell_cid, cloud_properties, networks, disk_cids, env, token)


@found_by("delete_vm_raises_cloud_error_when_it_is_not_certain")
class CallsLostVmsDeleted(MemoryCloud):
    """delete_vm takes a cloud that cannot be reached for one without the VM."""

    def delete_vm(self, vm_cid: VmCid) -> None:
        if not self.settings.reachable:
            raise errors.VMNotFound(f"the VM {vm_cid} is not there")
        super().delete_vm(vm_cid)
