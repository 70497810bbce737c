"""What is asked once and remembered: in memory for threads, on disk for the many short processes.

Only what does not change is remembered: a stemcell's root disk, a subnet's zone, a VM type's hardware.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from cpi.contract import errors as contract_errors
from cpi.kit import private_files
from cpi_drivers.aws.api import errors, vm_types
from cpi_drivers.aws.api.client import Client
from cpi_drivers.aws.api.vm_types import VmType
from cpi_drivers.aws.settings import AwsSettings

_log = logging.getLogger(__name__)

TYPES_LAST_SECONDS: Final = 7 * 24 * 3600
T = TypeVar("T")


class RootDisk(NamedTuple):
    """A stemcell's root disk."""

    device: str
    size_gib: int | None


class Subnet(NamedTuple):
    """Where a subnet is."""

    zone: str
    vpc: str


class Facts:
    """The memory of one account."""

    def __init__(self, client: Client, settings: AwsSettings, folder: Path | None = None) -> None:
        self._client = client
        self._settings = settings
        self._folder = folder or private_files.folder() / "aws"
        self._known: dict[tuple[str, str], Any] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._lock = threading.Lock()

    def root_disk(self, ami: str) -> RootDisk:
        """The root disk of an image. Raises CloudError if there is no such image, or if it cannot be used."""
        return self._once(("ami", ami), lambda: self._ask_root_disk(ami))

    def subnet(self, cid: str) -> Subnet:
        """Where the subnet is. Raises NetworkNotFound."""
        return self._once(("subnet", cid), lambda: self._ask_subnet(cid))

    def vm_type(self, name: str) -> VmType:
        """The hardware of a VM type: from the table, else from EC2, else a guess."""
        return vm_types.shipped(name) or self._once(("type", name), lambda: self._ask_type(name))

    def vm_types_here(self) -> dict[str, VmType]:
        """Every VM type of the region; the shipped table where EC2 may not be asked."""
        return self._once(("types", ""), self._types_here)

    # ------------------------------------------------------------------ asking

    def _ask_root_disk(self, ami: str) -> RootDisk:
        found = self._client.call("DescribeImages", ImageIds=[ami]).get("Images", [])
        if not found:
            raise contract_errors.CloudError(f"there is no stemcell {ami} in {self._settings.signing_region}")
        image = found[0]
        if image.get("State", "available") != "available":
            raise contract_errors.CloudError(f"the stemcell {ami} cannot be used: it is {image['State']}")
        device = _root_device(image)
        sizes = [item["Ebs"].get("VolumeSize") for item in image.get("BlockDeviceMappings", []) if item.get("Ebs")]
        own = [
            item["Ebs"].get("VolumeSize")
            for item in image.get("BlockDeviceMappings", [])
            if item.get("Ebs") and item.get("DeviceName") == device
        ]
        return RootDisk(device, (own or sizes or [None])[0])

    def default_vpc(self) -> str | None:
        """The network that VMs without a subnet get; None if there is none."""
        return self._once(("vpc", ""), self._ask_default_vpc)

    def _ask_default_vpc(self) -> str | None:
        filters = [{"Name": "default-for-az", "Values": ["true"]}]
        found = self._client.call("DescribeSubnets", Filters=filters).get("Subnets", [])
        return str(found[0]["VpcId"]) if found else None

    def _ask_subnet(self, cid: str) -> Subnet:
        found = self._client.call("DescribeSubnets", SubnetIds=[cid]).get("Subnets", [])
        if not found:
            raise contract_errors.NetworkNotFound(f"there is no subnet {cid} in {self._settings.signing_region}")
        return Subnet(found[0]["AvailabilityZone"], found[0]["VpcId"])

    def _ask_type(self, name: str) -> VmType:
        if not self._settings.enable_describe_instance_types:
            return vm_types.guessed(name)
        kept = self._read_types()
        if kept and name in kept:
            return kept[name]
        try:
            found = self._client.call("DescribeInstanceTypes", InstanceTypes=[name]).get("InstanceTypes", [])
        except errors.Denied as error:
            _log.warning("guessing that %s has NVMe disks: %s", name, error.message)
            return vm_types.guessed(name)
        if not found:
            return vm_types.guessed(name)
        kind = vm_types.from_answer(found[0])
        private_files.keep(self._file("types-known"), {**(kept or {}), name: kind})
        return kind

    def _types_here(self) -> dict[str, VmType]:
        kept = self._read_kept("types-here")
        if kept:
            return kept
        try:
            pages = self._client.pages("DescribeInstanceTypes", MaxResults=100)
            found = {kind.name: kind for page in pages for kind in map(vm_types.from_answer, page.get("InstanceTypes", []))}
        except (errors.Denied, errors.Unreached) as error:
            _log.warning("using the shipped table of VM types: %s", error.message)
            found = {}
        if not found:
            return {name: VmType(name, *row) for name, row in vm_types.table().items()}
        private_files.keep(self._file("types-here"), found)
        return found

    # ------------------------------------------------------------------ remembering

    def _once(self, key: tuple[str, str], ask: Callable[[], T]) -> T:
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._known:
                self._known[key] = ask()
            answer: T = self._known[key]
            return answer

    def _read_types(self) -> dict[str, VmType] | None:
        return self._read_kept("types-known")

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}-{self._settings.signing_region}.json"

    def _read_kept(self, name: str) -> dict[str, VmType] | None:
        file = self._file(name)
        try:
            if time.time() - file.stat().st_mtime > TYPES_LAST_SECONDS:
                return None
            rows = json.loads(file.read_bytes())
            return {name: VmType(*row) for name, row in rows.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return None


def _root_device(image: dict[str, Any]) -> str:
    """The mapped name of the root disk: an image may say /dev/sda1 and map /dev/sda, and EC2 knows the mapped one."""
    told: str = image.get("RootDeviceName", "/dev/xvda")
    mapped = [item.get("DeviceName", "") for item in image.get("BlockDeviceMappings", []) if item.get("Ebs")]
    whole = [name for name in mapped if name and name == told.rstrip("0123456789")]
    return whole[0] if told not in mapped and whole else told
