"""The cloud `example`: every method of the contract that has no capability of its own."""

import ipaddress
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, DiskCid, StemcellCid, VmCid
from cpi.contract.model import CloudConfig, CloudProperties, DiskHint, Env, Metadata, Network, Networks, Vm
from cpi.contract.units import MiB
from cpi.kit.agent_settings import agent_settings
from cpi.kit.settings import DISK_KEYS, read_cloud_properties, read_settings
from cpi.kit.tagging import birth_tags
from cpi.skeleton.example import STEMCELL_FORMATS
from cpi.skeleton.example.client import Client, Item
from cpi.skeleton.example.errors import Refused, translated
from cpi.skeleton.example.settings import DiskProperties, ExampleSettings, VmProperties

_LARGEST_DISK = MiB(1 << 24)
_MAGIC = b"IMAGE"


class ExampleCloud(Cloud):
    """Capabilities and methods go together: to add one, declare it and override its methods."""

    name: ClassVar[str] = "example"
    stemcell_formats: ClassVar[tuple[str, ...]] = STEMCELL_FORMATS
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.DISK_METADATA})

    def __init__(self, config: CloudConfig, settings: ExampleSettings) -> None:
        self._config = config
        self._client = Client(settings.folder)

    @classmethod
    def connect(cls, config: CloudConfig) -> Self:
        """Nothing is asked of the cloud yet: `info` must not depend on it."""
        return cls(config, read_settings(ExampleSettings, config.properties, "cloud.properties.example"))

    # ------------------------------------------------------------------ stemcells

    def create_stemcell(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> StemcellCid:
        _check_image(Path(image_path))
        cid = StemcellCid(f"stemcell-{uuid.uuid4()}")
        with translated("create_stemcell"), self._client.changing() as state:
            state["stemcells"][cid] = {"tags": self._tags(tags)}
        return cid

    def delete_stemcell(self, stemcell_cid: StemcellCid) -> None:
        with translated("delete_stemcell"), self._client.changing() as state:
            state["stemcells"].pop(stemcell_cid, None)

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
        properties = read_cloud_properties(VmProperties, cloud_properties, strict=self._config.strict_properties)
        with translated("create_vm"), self._client.changing() as state:
            found = _made_with(token, state["vms"])
            if found is not None:
                return _vm(found, state["vms"][found])
            if stemcell_cid not in state["stemcells"]:
                raise errors.CloudError(f"the stemcell {stemcell_cid} does not exist")
            for disk_cid in disk_cids:
                _present(state["disks"], disk_cid, "NoSuchDisk")
            cid = f"vm-{uuid.uuid4()}"
            resolved = {name: _addressed(network, state["vms"]) for name, network in networks.items()}
            state["vms"][cid] = {
                "tags": self._tags({}, token),
                "token": token,
                "cpu": properties.cpu,
                "networks": {name: network.to_document() for name, network in resolved.items()},
                "settings": agent_settings(agent_id, cid, resolved, env, self._config.agent),
            }
            return Vm(VmCid(cid), resolved)

    def delete_vm(self, vm_cid: VmCid) -> None:
        with translated("delete_vm"), self._client.changing() as state:
            state["vms"].pop(vm_cid, None)
            for disk in state["disks"].values():
                if disk["vm"] == vm_cid:
                    disk["vm"] = None

    def has_vm(self, vm_cid: VmCid) -> bool:
        with translated("has_vm"):
            return self._client.find("vms", vm_cid) is not None

    def reboot_vm(self, vm_cid: VmCid) -> None:
        with translated("reboot_vm"), self._client.changing() as state:
            _present(state["vms"], vm_cid, "NoSuchVm")

    def set_vm_metadata(self, vm_cid: VmCid, metadata: Metadata) -> None:
        with translated("set_vm_metadata"), self._client.changing() as state:
            _present(state["vms"], vm_cid, "NoSuchVm")["tags"].update(_strings(metadata))

    def agent_settings(self, vm_cid: VmCid) -> Mapping[str, Any]:
        """What the VM's agent was given: `cpi agent-settings` shows it, and the suite reads it."""
        with translated("agent_settings"), self._client.changing() as state:
            settings: Mapping[str, Any] = _present(state["vms"], vm_cid, "NoSuchVm")["settings"]
            return settings

    # ------------------------------------------------------------------ disks

    def create_disk(
        self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None = None, token: str | None = None
    ) -> DiskCid:
        strict = self._config.strict_properties
        properties = read_cloud_properties(DiskProperties, cloud_properties, strict=strict, ignored_keys=DISK_KEYS)
        with translated("create_disk"), self._client.changing() as state:
            found = _made_with(token, state["disks"])
            if found is not None:
                return DiskCid(found)
            if vm_cid is not None:
                _present(state["vms"], vm_cid, "NoSuchVm")
            if size > _LARGEST_DISK:
                raise Refused("NoRoom", f"{size} MiB; the largest disk has {_LARGEST_DISK} MiB")
            cid = f"disk-{uuid.uuid4()}"
            made = {"tags": self._tags({}, token), "token": token, "size": size, "type": properties.type}
            state["disks"][cid] = {**made, "vm": None, "unit": None}
            return DiskCid(cid)

    def delete_disk(self, disk_cid: DiskCid) -> None:
        with translated("delete_disk"), self._client.changing() as state:
            holder = state["disks"].get(disk_cid, {}).get("vm")
            if holder is not None:
                raise errors.CloudError(f"the disk {disk_cid} is attached to {holder}: detach it first")
            state["disks"].pop(disk_cid, None)

    def has_disk(self, disk_cid: DiskCid) -> bool:
        with translated("has_disk"):
            return self._client.find("disks", disk_cid) is not None

    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        with translated("attach_disk"), self._client.changing() as state:
            _present(state["vms"], vm_cid, "NoSuchVm")
            disk = _present(state["disks"], disk_cid, "NoSuchDisk")
            if disk["vm"] not in {None, vm_cid}:
                raise errors.CloudError(f"the disk {disk_cid} is attached to {disk['vm']}: detach it first")
            if disk["vm"] is None:
                taken = {other["unit"] for other in state["disks"].values() if other["vm"] == vm_cid}
                disk["vm"], disk["unit"] = vm_cid, next(unit for unit in range(1, 1000) if unit not in taken)
            return DiskHint(path=f"/dev/disk/by-path/unit-{disk['unit']}")

    def detach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        with translated("detach_disk"), self._client.changing() as state:
            _present(state["vms"], vm_cid, "NoSuchVm")
            disk = _present(state["disks"], disk_cid, "NoSuchDisk")
            if disk["vm"] != vm_cid:
                raise Refused("NotAttached", f"{disk_cid} is not attached to {vm_cid}")
            disk["vm"] = None

    def get_disks(self, vm_cid: VmCid) -> Sequence[DiskCid]:
        with translated("get_disks"), self._client.changing() as state:
            _present(state["vms"], vm_cid, "NoSuchVm")
            return [DiskCid(cid) for cid, disk in state["disks"].items() if disk["vm"] == vm_cid]

    def set_disk_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        with translated("set_disk_metadata"), self._client.changing() as state:
            _present(state["disks"], disk_cid, "NoSuchDisk")["tags"].update(_strings(metadata))

    def _tags(self, given: Metadata, token: str | None = None) -> dict[str, str]:
        """Everything made says who made it, for which director and request: leftovers are found by that."""
        return {**_strings(given), **birth_tags(self._config.context, token)}


def _check_image(path: Path) -> None:
    try:
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC))
    except OSError as error:
        raise errors.CpiError(f"the image {path} cannot be read: {error.strerror}") from error
    if begins != _MAGIC:
        raise errors.CpiError(f"the file {path} is no image of this cloud: it does not begin with {_MAGIC.decode()}")


def _present(items: Mapping[str, Item], cid: str, code: str) -> Item:
    if cid not in items:
        raise Refused(code, f"{cid} does not exist")
    return items[cid]


def _made_with(token: str | None, items: Mapping[str, Item]) -> str | None:
    """What an earlier call with the same token made: a director repeats calls whose answer was lost."""
    return next((cid for cid, item in items.items() if token and item["token"] == token), None)


def _vm(cid: str, item: Item) -> Vm:
    return Vm(VmCid(cid), {name: Network.from_document(document) for name, document in item["networks"].items()})


def _addressed(network: Network, vms: Mapping[str, Item]) -> Network:
    taken = {one.get("ip"): cid for cid, vm in vms.items() for one in vm["networks"].values()}
    if network.ip is None:
        free = (str(address) for address in ipaddress.ip_network("10.0.0.0/16").hosts())
        return Network.from_document({**network.to_document(), "ip": next(address for address in free if address not in taken)})
    try:
        ipaddress.ip_address(network.ip)
    except ValueError as error:
        raise errors.CloudError(f"the network gives no address: {error}") from error
    if network.ip in taken:
        raise errors.VMCreationFailed(f"the address {network.ip} belongs to {taken[network.ip]}", ok_to_retry=False)
    return network


def _strings(metadata: Metadata) -> dict[str, str]:
    return {str(key): str(value) for key, value in metadata.items()}
