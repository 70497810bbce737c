"""The AWS cloud: the contract's methods, each done by the module of its noun."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, DiskCid, NetworkCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import (
    CloudConfig,
    CloudProperties,
    CreatedNetwork,
    DiskHint,
    Env,
    Metadata,
    NetworkDefinition,
    Networks,
    Vm,
    VmResources,
)
from cpi.contract.operator import Finding, TaggedResource
from cpi.contract.units import MiB
from cpi_drivers.aws import STEMCELL_FORMATS, settings
from cpi_drivers.aws.api import inventory, session
from cpi_drivers.aws.api.account import Account, Patience
from cpi_drivers.aws.api.client import Client
from cpi_drivers.aws.api.facts import Facts
from cpi_drivers.aws.disks import attachments
from cpi_drivers.aws.disks import lifecycle as disks
from cpi_drivers.aws.vms import lifecycle as vms


class AwsCloud(Cloud):
    """Amazon Web Services."""

    name = "aws"
    session_type = "boto3.session.Session"
    stemcell_formats = STEMCELL_FORMATS
    capabilities = frozenset(Capability)

    def __init__(self, account: Account) -> None:
        self._account = account

    @classmethod
    def connect(cls, config: CloudConfig) -> Self:
        config = session.configured(config)
        own = settings.read(config)
        client = Client(own, config.session)
        return cls(Account(client, own, config, Facts(client, own), Patience()))

    def close(self) -> None:
        self._account.client.close()

    # ------------------------------------------------------------------ stemcells

    def create_stemcell(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> StemcellCid:
        from cpi_drivers.aws.stemcells import lifecycle as stemcells

        return stemcells.create(self._account, image_path, cloud_properties, tags)

    def delete_stemcell(self, stemcell_cid: StemcellCid) -> None:
        from cpi_drivers.aws.stemcells import lifecycle as stemcells

        stemcells.delete(self._account, stemcell_cid)

    # ------------------------------------------------------------------ VMs

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
        from cpi_drivers.aws.vms import creation as vm_creation
        from cpi_drivers.aws.vms import request as vm_request

        wanted = vm_request.read_request(self._account, agent_id, stemcell_cid, cloud_properties, networks, disk_cids, env, token)
        return vm_creation.create(self._account, wanted)

    def delete_vm(self, vm_cid: VmCid) -> None:
        vms.delete(self._account, vm_cid)

    def has_vm(self, vm_cid: VmCid) -> bool:
        return inventory.is_alive(self._account, vm_cid)

    def reboot_vm(self, vm_cid: VmCid) -> None:
        vms.reboot(self._account, vm_cid)

    def set_vm_metadata(self, vm_cid: VmCid, metadata: Metadata) -> None:
        vms.set_metadata(self._account, vm_cid, metadata)

    def calculate_vm_cloud_properties(self, resources: VmResources) -> CloudProperties:
        from cpi_drivers.aws.api import vm_types

        return vm_types.smallest(self._account.facts.vm_types_here(), resources)

    # ------------------------------------------------------------------ persistent disks

    def create_disk(
        self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None = None, token: str | None = None
    ) -> DiskCid:
        return disks.create(self._account, size, cloud_properties, vm_cid, token)

    def delete_disk(self, disk_cid: DiskCid) -> None:
        disks.delete(self._account, disk_cid)

    def has_disk(self, disk_cid: DiskCid) -> bool:
        return disks.exists(self._account, disk_cid)

    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        return attachments.attach(self._account, vm_cid, disk_cid)

    def detach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        attachments.detach(self._account, vm_cid, disk_cid)

    def get_disks(self, vm_cid: VmCid) -> Sequence[DiskCid]:
        mappings = vms.persistent_disks(inventory.describe_living(self._account, vm_cid))
        return [DiskCid(mapping["Ebs"]["VolumeId"]) for mapping in mappings]

    def set_disk_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        disks.set_metadata(self._account, disk_cid, metadata)

    def disk_tags(self, disk_cid: DiskCid) -> Mapping[str, str]:
        """As in ShowsDiskTags."""
        return disks.metadata(self._account, disk_cid)

    def resize_disk(self, disk_cid: DiskCid, size: MiB) -> None:
        from cpi_drivers.aws.disks import changes as disk_changes

        disk_changes.resize(self._account, disk_cid, size)

    def update_disk(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        from cpi_drivers.aws.disks import changes as disk_changes

        return disk_changes.update(self._account, disk_cid, size, cloud_properties)

    def grow_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
        """As in GrowsAttachedDisks."""
        from cpi_drivers.aws.disks import changes as disk_changes

        disk_changes.grow_attached(self._account, vm_cid, disk_cid, size)

    def change_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> None:
        """As in ChangesAttachedDisks."""
        from cpi_drivers.aws.disks import changes as disk_changes

        disk_changes.change_attached(self._account, vm_cid, disk_cid, size, cloud_properties)

    # ------------------------------------------------------------------ snapshots

    def snapshot_disk(self, disk_cid: DiskCid, metadata: Metadata) -> SnapshotCid:
        from cpi_drivers.aws.disks import snapshots

        return snapshots.create(self._account, disk_cid, metadata)

    def delete_snapshot(self, snapshot_cid: SnapshotCid) -> None:
        from cpi_drivers.aws.disks import snapshots

        snapshots.delete(self._account, snapshot_cid)

    # ------------------------------------------------------------------ networks

    def create_network(self, definition: NetworkDefinition) -> CreatedNetwork:
        from cpi_drivers.aws.networks import managed as subnets

        return subnets.create(self._account, definition)

    def delete_network(self, network_cid: NetworkCid) -> None:
        from cpi_drivers.aws.networks import managed as subnets

        subnets.delete(self._account, network_cid)

    # ------------------------------------------------------------------ for people

    def load_ahead(self) -> None:
        """As in LoadsAhead."""
        session.load_descriptions(self._account.settings.signing_region)

    def examine(self) -> Iterable[Finding]:
        """Look at identity, region, permissions and quotas."""
        from cpi_drivers.aws.doctor import checks

        return checks.examine(self._account)

    def examine_vm_type(self, vm_type: CloudProperties, networks: Sequence[CloudProperties]) -> Iterable[Finding]:
        """Look at the types, zones, subnets, security groups and target groups that are named."""
        from cpi_drivers.aws.doctor import checks

        return checks.examine_vm_type(self._account, vm_type, networks)

    def agent_settings(self, vm_cid: VmCid) -> Mapping[str, Any]:
        """What the VM was given as user data."""
        from cpi_drivers.aws.vms import agent_settings

        return agent_settings.of_vm(self._account, vm_cid)

    def tagged_resources(self) -> Sequence[TaggedResource]:
        """As in ListsTaggedResources."""
        from cpi_drivers.aws.doctor import leftovers

        return leftovers.tagged_resources(self._account)

    def delete_tagged_resource(self, resource: TaggedResource) -> None:
        """As in ListsTaggedResources."""
        from cpi_drivers.aws.doctor import leftovers

        leftovers.delete(self._account, resource)
