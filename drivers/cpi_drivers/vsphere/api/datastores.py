"""Datastores: which there are, and which are meant."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from cpi.contract import errors
from cpi.kit.ruby_patterns import compiled
from cpi_drivers.vsphere.api import paths
from cpi_drivers.vsphere.api.client import Client, Reference, Step, vim
from cpi_drivers.vsphere.naming import pattern_of
from cpi_drivers.vsphere.properties import Datastores

PATHS: Final = (
    "name",
    "browser",
    "parent",
    "summary.accessible",
    "summary.freeSpace",
    "summary.capacity",
    "summary.maintenanceMode",
)
_DRS: Final = "podStorageDrsEntry.storageDrsConfig.podConfig.enabled"
_FOLDER: Final = "datastore"
"""What a datacenter's folder of datastores is called in paths."""

CLUSTER_STEP: Final = {
    "cluster of a datastore": Step(vim.Datastore, "parent", ("folder of a cluster",)),
    "folder of a cluster": Step(vim.StoragePod, "parent", ("folders of clusters",)),
    "folders of clusters": Step(vim.Folder, "parent", ("folders of clusters",)),
}
"""From datastores to the datastore clusters that they are in, and the folders of those."""

WANTED: Final[Mapping[Any, Sequence[str]]] = {
    vim.Datastore: PATHS,
    vim.StoragePod: ("name", "parent", _DRS),
    vim.Folder: ("name", "parent"),
}


class Store(msgspec.Struct, frozen=True):
    """A datastore."""

    reference: Any
    name: str
    browser: Any
    free: int
    """Bytes."""

    reachable: bool
    """Whether any host reaches it."""

    usable: bool
    """Reachable, and not being emptied."""

    cluster: str | None
    """The name of its datastore cluster."""

    cluster_path: str | None = None
    """That cluster's path below the datacenter's folder of datastores."""

    pod: Any = None
    """The datastore cluster itself, if Storage DRS is on there."""

    @property
    def id(self) -> str:
        """`datastore-7`."""
        moid: str = self.reference._moId  # noqa: SLF001 - the id of an object has no public name in the SDK
        return moid


def stores_in(found: Mapping[Reference, Mapping[str, Any]]) -> list[Store]:
    """The datastores among what was read, by name."""
    read = [_store(reference, seen, found) for reference, seen in found.items() if isinstance(reference, vim.Datastore)]
    return sorted(read, key=lambda store: store.name)


def _store(reference: Reference, seen: Mapping[str, Any], found: Mapping[Reference, Mapping[str, Any]]) -> Store:
    reachable = bool(seen.get("summary.accessible", True))
    usable = reachable and seen.get("summary.maintenanceMode", "normal") == "normal"
    pod = seen.get("parent") if isinstance(seen.get("parent"), vim.StoragePod) else None
    cluster = found.get(pod, {})
    return Store(
        reference=reference,
        name=seen["name"],
        browser=seen["browser"],
        free=seen.get("summary.freeSpace", 0),
        reachable=reachable,
        usable=usable,
        cluster=cluster.get("name"),
        cluster_path=_path(pod, found) if cluster else None,
        pod=pod if cluster.get(_DRS) else None,
    )


def _path(pod: Reference, found: Mapping[Reference, Mapping[str, Any]]) -> str:
    """Without the uppermost folder, which is the datacenter's."""
    names: list[str] = []
    while isinstance(pod, vim.Folder) and "name" in found.get(pod, {}):
        names.append(str(found[pod]["name"]))
        pod = found[pod].get("parent")
    return "/".join(reversed(names[:-1] or names))


class Choice(msgspec.Struct, frozen=True):
    """Which datastores are meant: by their names, or by those of their clusters."""

    pattern: str | None = None
    cluster_pattern: str | None = None
    clusters: tuple[str, ...] = ()
    """Names or paths of datastore clusters."""

    def fits(self, store: Store) -> bool:
        """Whether a datastore is meant."""
        if self.pattern is not None and compiled(self.pattern).search(store.name):
            return True
        if store.cluster_path is not None and any(paths.is_end_of(name, store.cluster_path, _FOLDER) for name in self.clusters):
            return True
        return (
            self.cluster_pattern is not None
            and store.cluster is not None
            and bool(compiled(self.cluster_pattern).search(store.cluster))
        )

    def of(self, stores: Iterable[Store]) -> list[Store]:
        """Those that are meant and usable. Raises CloudError for a name that several datastore clusters have."""
        known = list(stores)
        for name in self.clusters:
            every = {store.cluster_path for store in known if store.cluster_path}
            several = sorted(path for path in every if paths.is_end_of(name, path, _FOLDER))
            if len(several) > 1:
                raise errors.CloudError(f"{name!r} means several datastore clusters: {', '.join(several)}: say the path of one")
        return [store for store in known if store.usable and self.fits(store)]

    def __str__(self) -> str:
        told = (("name", self.pattern), ("cluster", self.cluster_pattern))
        said = [f"{what} matches {pattern!r}" for what, pattern in told if pattern is not None]
        return " or ".join([*said, *(f"cluster is {name!r}" for name in self.clusters)])


def requested(datastores: Datastores) -> Choice:
    """Datastores as a manifest names them: by their names, or by those of their clusters."""
    names = [one for one in datastores if isinstance(one, str)]
    clusters = tuple(name for one in datastores if not isinstance(one, str) for name in one.names)
    return Choice(pattern_of(names) if names else None, clusters=clusters)


def names_of(datastores: Datastores, stores: Callable[[], Iterable[Store]]) -> list[str]:
    """Their names; stores are asked for where clusters are named."""
    names = [one for one in datastores if isinstance(one, str)]
    if len(names) == len(datastores):
        return names
    known, choice = list(stores()), requested(datastores)
    choice.of(known)  # an ambiguous name is refused
    return [store.name for store in known if choice.fits(store)]


def roomiest(stores: Sequence[Store], needed: int, what: str, choice: Choice) -> Store:
    """The one with most room. Raises NoDiskSpace naming what each has, or CloudError if there is none."""
    if not stores:
        raise errors.CloudError(f"{what}: there is no usable datastore whose {choice}")
    best = max(stores, key=lambda store: (store.free, store.name))
    if best.free < needed:
        rooms = ", ".join(f"{store.name} has {store.free >> 20}" for store in stores)
        raise errors.NoDiskSpace(f"{what}: {needed >> 20} MiB are needed; {rooms} MiB")
    return best


def all_of(client: Client, datacenter: Reference) -> list[Store]:
    """Every datastore of a datacenter."""
    steps = {"datastores": Step(vim.Datacenter, "datastore", tuple(CLUSTER_STEP)), **CLUSTER_STEP}
    return stores_in(client.read([datacenter], WANTED, steps))
