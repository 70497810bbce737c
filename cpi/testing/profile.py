"""A harness from data: what `cpi conformance` is told of a cloud beside its configuration.

A driver may ship its own as conformance.json beside its Cloud class; docs/conformance.md has the keys.
"""

import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from cpi import config as configuration
from cpi import registry
from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.encoding import from_plain
from cpi.contract.model import CloudProperties, Env, NetworkDefinition, VmResources
from cpi.testing.harness import Absent, Harness

_FILE_NAME: Final = "conformance.json"
_DEFAULTS: Final = Harness(config={})


class StemcellProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What create_stemcell is given."""

    image: str = ""
    """The image file, from the profile's own folder on. Neither image nor files: an empty file, as for a light stemcell."""

    files: Mapping[str, str] = {}
    """Instead of an image: names and texts of files, packed as a gzipped tar."""

    cloud_properties: CloudProperties = {}


class VmProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What create_vm is given."""

    cloud_properties: CloudProperties = {}
    env: Env = {}


class DiskProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What create_disk, resize_disk and update_disk are given; sizes in MiB."""

    size: int = _DEFAULTS.disk_size
    larger_size: int = _DEFAULTS.larger_disk_size
    impossible_size: int = _DEFAULTS.impossible_disk_size
    cloud_properties: CloudProperties = {}
    other_cloud_properties: CloudProperties | None = None


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document. Everything has a default."""

    stemcell: StemcellProfile = StemcellProfile()
    vm: VmProfile = VmProfile()
    disk: DiskProfile = DiskProfile()

    networks: Mapping[str, Mapping[str, Any]] | None = None
    """Networks as in a create_vm request; an ip of "{address}" is the next of addresses."""

    addresses: tuple[str, ...] = ()
    """Free addresses, one by one or as first-last."""

    impossible_networks: Mapping[str, Mapping[str, Any]] | None = None
    """Networks that the cloud cannot give."""

    network_definition: NetworkDefinition = _DEFAULTS.network_definition
    sized_network_definition: NetworkDefinition = _DEFAULTS.sized_network_definition
    vm_resources: VmResources = _DEFAULTS.vm_resources
    impossible_vm_resources: VmResources = _DEFAULTS.impossible_vm_resources

    absent: Absent = _DEFAULTS.absent
    """CIDs of the cloud's form under which nothing exists."""

    capabilities: frozenset[Capability] | None = None
    """The powers to expect, where no driver's class declares them."""

    unreachable: Mapping[str, Any] | None = None
    """Settings over the plugin's own block with which the cloud cannot be reached."""

    secrets: frozenset[str] = frozenset()
    """Strings that must not be shown, besides those in the configuration."""

    agent: Literal["https"] | None = None
    """https: the VMs' agents answer at the mbus of their settings, and run jobs from commands in the apply spec."""

    census: tuple[str, ...] = ()
    """A command that prints a JSON object of how many there are of everything."""


def read_profile(path: Path) -> tuple[Profile, Path]:
    """The profile in a file, and the folder its own paths start from. Raises CpiError saying what is wrong with it."""
    document = configuration.read_document(path)
    try:
        return from_plain(document, Profile), path.parent
    except msgspec.ValidationError as error:
        raise errors.CpiError(f"the profile {path}: {error}") from error


def shipped_profile(plugin: str) -> tuple[Profile, Path]:
    """The profile that a driver ships, or one of defaults."""
    package = registry.load(plugin).__module__.rpartition(".")[0]
    with importlib.resources.as_file(importlib.resources.files(package or plugin) / _FILE_NAME) as path:
        return read_profile(path) if path.exists() else (Profile(), Path())
