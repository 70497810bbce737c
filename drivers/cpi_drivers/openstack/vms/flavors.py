"""Flavours: the sizes of VMs."""

from collections.abc import Sequence

from cpi.contract import errors
from cpi.contract.model import VmResources
from cpi.contract.units import mib_from_gib
from cpi_drivers.openstack.api.client import Client
from cpi_drivers.openstack.api.states import Document


class Flavors:
    """Nova's."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def all(self) -> list[Document]:
        """Those the project may use."""
        return list(self._client.pages("compute", "/flavors/detail", "flavors"))

    def named(self, names: Sequence[str]) -> list[Document]:
        """Each by its name, or its id. Raises CloudError naming all that do not exist or cannot serve."""
        flavors = self.all()
        known = {key: flavor for flavor in flavors for key in (flavor["id"], flavor["name"])}
        missing = [name for name in names if name not in known]
        if missing:
            there = ", ".join(sorted(flavor["name"] for flavor in flavors))
            raise errors.CloudError(f"there is no flavour {', '.join(missing)}; known: {there or 'none'}")
        found = [known[name] for name in names]
        for flavor in found:
            _refuse_cramped(flavor)
        return found

    def smallest(self, resources: VmResources) -> str:
        """The name of the smallest that has the resources."""
        fitting = [flavor for flavor in self.all() if _fits(flavor, resources)]
        if not fitting:
            raise errors.NotSupported(
                f"no flavour has {resources.cpu} CPUs, {resources.ram} MiB of memory "
                f"and {resources.ephemeral_disk_size} MiB of disk"
            )
        return str(min(fitting, key=_size)["name"])


def ephemeral_mib(flavor: Document) -> int:
    """The size of the flavour's ephemeral disk."""
    return mib_from_gib(flavor["OS-FLV-EXT-DATA:ephemeral"])


def _refuse_cramped(flavor: Document) -> None:
    ephemeral = ephemeral_mib(flavor)
    if 0 < ephemeral < 2 * flavor["ram"]:
        raise errors.CloudError(
            f"the flavour {flavor['name']} has an ephemeral disk of {ephemeral} MiB; for swap and data it needs at "
            f"least twice its memory: {2 * flavor['ram']} MiB (or no ephemeral disk at all)"
        )


def _fits(flavor: Document, resources: VmResources) -> bool:
    # A flavour without an ephemeral disk has its data on the root disk.
    ephemeral = ephemeral_mib(flavor)
    disk = ephemeral or mib_from_gib(flavor["disk"])
    roomy = ephemeral == 0 or ephemeral >= 2 * flavor["ram"]
    return bool(
        flavor["vcpus"] >= resources.cpu and flavor["ram"] >= resources.ram and disk >= resources.ephemeral_disk_size and roomy
    )


def _size(flavor: Document) -> tuple[int, int, int, int, str]:
    return flavor["vcpus"], flavor["ram"], ephemeral_mib(flavor), flavor["disk"], flavor["name"]
