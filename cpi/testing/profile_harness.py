"""From a configuration and a profile to a harness."""

import io
import ipaddress
import itertools
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from cpi import config as configuration
from cpi import registry
from cpi.agent import https
from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.encoding import from_plain
from cpi.contract.ids import VmCid
from cpi.contract.model import Network, Networks
from cpi.contract.operator import ShowsAgentSettings
from cpi.contract.units import MiB
from cpi.testing.config_variants import with_settings
from cpi.testing.guest import AgentGuest, Guest
from cpi.testing.harness import Document, Harness, Stemcell, dynamic_network, network_without_address
from cpi.testing.profile import Profile, StemcellProfile

ADDRESS: Final = "{address}"
_NetworkDocuments = Mapping[str, Mapping[str, Any]]


def harness_of(
    config: Document, profile: Profile, paths_from: Path, folder: Path, command: Sequence[str] | None = None
) -> Harness:
    """What the profile says of the cloud of config; folder takes what has to be made for it."""
    return Harness(
        config=config,
        command=command,
        capabilities=_powers(profile, config, command),
        stemcell=_stemcell(profile.stemcell, paths_from, folder),
        vm_cloud_properties=profile.vm.cloud_properties,
        env=profile.vm.env,
        networks=_networks(profile.networks, profile.addresses) if profile.networks else dynamic_network,
        impossible_networks=_networks(profile.impossible_networks, ())
        if profile.impossible_networks
        else network_without_address,
        disk_size=MiB(profile.disk.size),
        larger_disk_size=MiB(profile.disk.larger_size),
        impossible_disk_size=MiB(profile.disk.impossible_size),
        disk_cloud_properties=profile.disk.cloud_properties,
        other_disk_cloud_properties=profile.disk.other_cloud_properties,
        network_definition=profile.network_definition,
        sized_network_definition=profile.sized_network_definition,
        vm_resources=profile.vm_resources,
        impossible_vm_resources=profile.impossible_vm_resources,
        absent=profile.absent,
        unreachable=with_settings(config, profile.unreachable) if config and profile.unreachable else None,
        secrets=profile.secrets,
        guest=_enter_by_https if profile.agent == "https" and command is None else None,
        census=_counted_by(profile.census) if profile.census else None,
    )


def _powers(profile: Profile, config: Document, command: Sequence[str] | None) -> frozenset[Capability] | None:
    """An executable does not tell its powers: the driver that its configuration names does."""
    if profile.capabilities is not None or command is None or not config:
        return profile.capabilities
    return registry.load(configuration.plugin_of(config)).capabilities


def _stemcell(profile: StemcellProfile, paths_from: Path, folder: Path) -> Stemcell:
    image = str(paths_from / profile.image) if profile.image else ""
    if profile.files:
        image = str(packed(profile.files, folder / "stemcell.tgz"))
    return Stemcell(image=image, cloud_properties=profile.cloud_properties)


def packed(files: Mapping[str, str], path: Path) -> Path:
    """A gzipped tar of small files."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


def _networks(documents: _NetworkDocuments, addresses: Sequence[str]) -> Callable[[], Networks]:
    free = itertools.cycle([address for part in addresses for address in _spread(part)] or [ADDRESS])

    def networks() -> Networks:
        return {name: _network(document, free) for name, document in documents.items()}

    return networks


def _network(document: Mapping[str, Any], free: Iterator[str]) -> Network:
    try:
        return Network.from_document({**document, "ip": next(free)} if document.get("ip") == ADDRESS else document)
    except msgspec.ValidationError as error:
        raise errors.CpiError(f"the profile's networks: {error}") from error


def _spread(part: str) -> list[str]:
    first, _, last = (word.strip() for word in part.partition("-"))
    try:
        begin, end = ipaddress.ip_address(first), ipaddress.ip_address(last or first)
    except ValueError as error:
        raise errors.CpiError(f"the profile's addresses: {error}") from error
    return [str(begin + index) for index in range(int(end) - int(begin) + 1)]


def _enter_by_https(cloud: Cloud, vm_cid: VmCid) -> Guest:
    if not isinstance(cloud, ShowsAgentSettings):
        raise errors.CpiError(f"the profile names an agent, and {cloud.name} does not show the settings of agents")
    return AgentGuest(https.from_settings(cloud.agent_settings(vm_cid)))


def _counted_by(command: Sequence[str]) -> Callable[[], Mapping[str, int]]:
    def census() -> Mapping[str, int]:
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        return from_plain(json.loads(done.stdout), dict[str, int])

    return census
