"""The file that says which instances there shall be: read whole, and every fault in it told at once."""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from cpi import config as configuration
from cpi.agent.reaching import Reach
from cpi.agent.reaching import faults_of as faults_of_reach
from cpi.contract import errors
from cpi.contract.ids import DiskCid, StemcellCid, VmCid
from cpi.contract.model import Network
from cpi.kit.redaction import remember, secrets_in
from cpi.kit.secret_references import fault_of_file, faults_in, with_absolute_paths, without_references
from cpi.kit.settings import read_settings
from cpi.kit.yaml_file import read_yaml
from cpi.resurrection.growth.policy import Policy
from cpi.resurrection.instance import Instance
from cpi.resurrection.responders.finding import responder_of
from cpi.resurrection.rules import Group, Rules

_KEYS: Final = frozenset({"instances", "defaults", "groups", "watch", "bus", "responders"})
_PATHS: Final = ("login", "ca", "certificate", "key", "path")
_SECRET_FILES: Final = ("login", "key")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Bus(msgspec.Struct, frozen=True, kw_only=True):
    """The message bus on which agents tell that they live. The other three are PEM files; without them there is no TLS."""

    url: str
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        told = [self.ca, self.certificate, self.key]
        if None in told and any(told):
            raise ValueError("ca, certificate and key belong together")


class Watchfile(msgspec.Struct, frozen=True, kw_only=True):
    """What was read."""

    path: str
    instances: tuple[Instance, ...]
    groups: Mapping[str, Group] = {}
    rules: Rules = Rules()
    bus: Bus | None = None
    responders: tuple[Mapping[str, Any], ...] = ()
    """As they are written: see responders.finding."""

    def __repr__(self) -> str:
        return f"Watchfile({self.path!r})"

    def instance(self, name: str) -> Instance:
        """The one of that name. Raises CpiError saying which there are."""
        for instance in self.instances:
            if instance.name == name:
                return instance
        known = ", ".join(instance.name for instance in self.instances)
        raise errors.CpiError(f"{self.path} has no instance {name!r}; known instances: {known}")

    def group(self, instance: Instance) -> Group:
        """What holds for the instance."""
        return self.groups.get(instance.group, Group())

    def growth(self, instance: Instance) -> Policy | None:
        """How the instance's disk grows by itself; None if it does not, or there is none."""
        return (instance.grow or self.group(instance).grow) if instance.is_stateful else None


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    """An instance, as it is written."""

    name: str
    config: str
    vm: str
    stemcell: str
    networks: dict[str, dict[str, Any]]
    group: str | None = None
    agent_id: str | None = None
    properties: dict[str, Any] = {}
    env: dict[str, Any] = {}
    disks: tuple[str, ...] = ()
    follow_moves: bool = True
    metadata: dict[str, Any] = {}
    spec: dict[str, Any] | None = None
    agent: dict[str, Any] = {}
    grow: Policy | None = None


def read_watchfile(path: str | Path) -> Watchfile:
    """The file at path. Raises CpiError with every fault in it at once."""
    path = Path(path).absolute()
    document = read_yaml(str(path), "instances files need", "watch")
    if not isinstance(document, Mapping) or not isinstance(document.get("instances"), list) or not document["instances"]:
        raise errors.CpiError(f"{path}: expected `instances:` with a list; see docs/resurrection.md")
    reader = _Reader(path, with_absolute_paths(document, path.parent))
    found = reader.read()
    if reader.faults:
        raise errors.CpiError("\n  ".join([f"{path} has faults:", *reader.faults]))
    return found


class _Reader:
    def __init__(self, path: Path, document: Mapping[str, Any]) -> None:
        self._path = path
        self._document = document
        self.faults = [f"{key}: unknown key" for key in document if key not in _KEYS]

    def read(self) -> Watchfile:
        """What can be read; what cannot is in faults."""
        self._see_who_may_read()
        instances = self._instances()
        groups = self._groups({instance.group for instance in instances})
        self.faults += _of_several_disks(instances, groups)
        return Watchfile(
            path=str(self._path),
            instances=tuple(instances),
            groups=groups,
            rules=self._section(Rules, self._document.get("watch") or {}, "watch") or Rules(),
            bus=self._bus(),
            responders=self._responders(),
        )

    def _see_who_may_read(self) -> None:
        written = secrets_in(without_references(self._document))
        remember(written)
        if written and self._path.stat().st_mode & _OTHERS:
            self.faults.append(f"{fault_of_file(str(self._path))}, or put its secrets into files of their own (from_file)")

    def _section(self, kind: Any, document: Any, where: str) -> Any:
        try:
            return read_settings(kind, document, where)
        except errors.CpiError as error:
            self.faults += configuration.faults_in(error)
            return None

    def _instances(self) -> list[Instance]:
        shared = self._document.get("defaults") or {}
        if not isinstance(shared, Mapping):
            self.faults.append("defaults: expected an object")
            shared = {}
        found = []
        for number, told in enumerate(self._document["instances"], 1):
            where = f"instances[{number}]"
            if not isinstance(told, Mapping):
                self.faults.append(f"{where}: expected an object")
                continue
            written = self._section(_Written, {**shared, **told}, where)
            if written is not None:
                found.append(self._instance(written, where))
        self.faults += _twice(found)
        return found

    def _instance(self, written: _Written, where: str) -> Instance:
        for name in ("networks", "properties", "env", "spec", "metadata"):
            self.faults += faults_in(getattr(written, name), f"{where}.{name}")
        for name, network in written.networks.items():
            try:
                Network.from_document(network)
            except msgspec.ValidationError as error:
                self.faults.append(f"{where}.networks.{name}: {error}")
        config = str(self._path.parent / written.config)
        if not Path(config).is_file():
            self.faults.append(f"{where}.config: {config} does not exist")
        return Instance(
            name=written.name,
            config=config,
            vm=VmCid(written.vm),
            stemcell=StemcellCid(written.stemcell),
            networks=written.networks,
            group=written.group or written.name.partition("/")[0],
            agent_id=written.agent_id,
            properties=written.properties,
            env=written.env,
            disks=tuple(DiskCid(disk) for disk in written.disks),
            follow_moves=written.follow_moves,
            metadata=written.metadata,
            spec=written.spec,
            agent=self._reach(written, where),
            grow=written.grow,
        )

    def _reach(self, written: _Written, where: str) -> Reach:
        named = self._files({"agent_id": written.agent_id, **written.agent})
        if named.get("url") is None and isinstance(self._document.get("bus"), Mapping):
            named = {**self._files(self._document["bus"]), **named}
        reach = self._section(Reach, named, f"{where}.agent")
        if not isinstance(reach, Reach):
            return Reach()
        self.faults += [f"{where}.{fault}" for fault in faults_of_reach(reach)]
        for key in _SECRET_FILES:
            secret = getattr(reach, key)
            fault = fault_of_file(secret) if secret else None
            if fault:
                self.faults.append(f"{where}.agent.{key}: {fault}")
        return reach

    def _groups(self, used: set[str]) -> dict[str, Group]:
        groups = self._document.get("groups") or {}
        if not isinstance(groups, Mapping):
            self.faults.append("groups: expected an object")
            return {}
        self.faults += [f"groups.{name}: no instance belongs to this group" for name in groups if name not in used]
        return {name: self._section(Group, told or {}, f"groups.{name}") or Group() for name, told in groups.items()}

    def _bus(self) -> Bus | None:
        told = self._document.get("bus")
        if told is None:
            return None
        bus = self._section(Bus, told, "bus")
        if not isinstance(bus, Bus):
            return None
        bus = msgspec.structs.replace(bus, **self._files(told))
        fault = fault_of_file(bus.key) if bus.key else None
        if fault:
            self.faults.append(f"bus.key: {fault}")
        return bus

    def _responders(self) -> tuple[Mapping[str, Any], ...]:
        told = self._document.get("responders") or []
        if not isinstance(told, list):
            self.faults.append("responders: expected a list")
            return ()
        named = [_below(self._path.parent, one) for one in told]
        for number, document in enumerate(named, 1):
            where = f"responders[{number}]"
            found = list(faults_in(document, where))
            self.faults += found
            try:
                if not found:
                    responder_of(document, where)
            except errors.CpiError as error:
                self.faults += configuration.faults_in(error)
        return tuple(named)

    def _files(self, named: Mapping[str, Any]) -> dict[str, Any]:
        return dict(_below(self._path.parent, named))


def _below(folder: Path, document: Any) -> Any:
    """The document with its paths made to mean the same from anywhere."""
    if not isinstance(document, Mapping):
        return document
    return {key: str(folder / value) if key in _PATHS and isinstance(value, str) else value for key, value in document.items()}


def _twice(instances: list[Instance]) -> Iterator[str]:
    for kind, taken in (("name", [one.name for one in instances]), ("vm", [f"{one.vm} of {one.config}" for one in instances])):
        yield from (f"{kind} {value}: used by two instances" for value in sorted({one for one in taken if taken.count(one) > 1}))
    disks = [f"{disk} of {one.config}" for one in instances for disk in one.disks]
    yield from (f"disk {value}: used by two instances" for value in sorted({one for one in disks if disks.count(one) > 1}))


def _of_several_disks(instances: list[Instance], groups: Mapping[str, Group]) -> Iterator[str]:
    """An agent tells how full one disk is, and not which."""
    for one in instances:
        if len(one.disks) > 1 and (one.grow or groups.get(one.group, Group()).grow):
            yield f"grow: {one.name} has several disks, and only a single one can grow by itself"
