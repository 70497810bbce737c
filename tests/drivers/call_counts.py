"""How many API calls each method of a driver makes, in the order of a VM's life."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.contract.model import Vm
from cpi.contract.units import MiB
from fixtures.proxy import Proxy

T = TypeVar("T")


class Lab(Protocol):
    """A cloud behind a proxy that counts."""

    proxy: Proxy

    def calls(self) -> Counter[str]:
        """Since the proxy forgot them."""


def of_a_life(
    lab: Lab, cloud: Cloud, make_vm: Callable[[], Vm], absent: VmCid, disk_size: MiB, other_kind: Mapping[str, Any]
) -> dict[str, dict[str, int]]:
    """By method. The disk grows, and becomes one of another kind."""
    found: dict[str, dict[str, int]] = {}

    def count(method: str, call: Callable[[], T]) -> T:
        lab.proxy.forget_calls()
        answer = call()
        found[method] = dict(lab.calls())
        return answer

    vm = count("create_vm", make_vm).cid
    count("has_vm", lambda: cloud.has_vm(vm))
    count("has_vm, absent", lambda: cloud.has_vm(absent))
    disk = count("create_disk", lambda: cloud.create_disk(disk_size, {}))
    count("has_disk", lambda: cloud.has_disk(disk))
    count("attach_disk", lambda: cloud.attach_disk(vm, disk))
    count("get_disks", lambda: cloud.get_disks(vm))
    if Capability.SNAPSHOTS in cloud.capabilities:
        snapshot = count("snapshot_disk", lambda: cloud.snapshot_disk(disk, {}))
        count("delete_snapshot", lambda: cloud.delete_snapshot(snapshot))
    count("set_vm_metadata", lambda: cloud.set_vm_metadata(vm, {"job": "db"}))
    count("set_disk_metadata", lambda: cloud.set_disk_metadata(disk, {"job": "db"}))
    count("reboot_vm", lambda: cloud.reboot_vm(vm))
    count("detach_disk", lambda: cloud.detach_disk(vm, disk))
    larger = MiB(2 * disk_size)
    count("resize_disk", lambda: cloud.resize_disk(disk, larger))
    count("update_disk", lambda: cloud.update_disk(disk, larger, other_kind))
    count("delete_disk", lambda: cloud.delete_disk(disk))
    count("delete_vm", lambda: cloud.delete_vm(vm))
    return found
