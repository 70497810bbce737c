"""api_version 1, 2 and 3 as projections of the newest shape, which is all that drivers know.

1 to 2: create_vm answers [vm_cid, networks] instead of the CID alone; attach_disk answers a hint instead of nothing.
2 to 3: create_stemcell takes a third argument, {"tags": {…}}.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.encoding import to_plain
from cpi.contract.model import CreatedNetwork, DiskHint, Networks, Vm

NEWEST: Final = 3
_OLDEST: Final = 1
_WITH_TAGS: Final = 3
_WITH_HINTS: Final = 2


def spoken(api_version: int | None) -> int:
    """The version a request is meant in: none is the first, which had no number. Raises CpiError for one we do not speak."""
    version = _OLDEST if api_version is None else api_version
    if not _OLDEST <= version <= NEWEST:
        raise errors.CpiError(f"unsupported api_version {version}: expected {_OLDEST} to {NEWEST}")
    return version


def takes_stemcell_tags(version: int) -> bool:
    """Whether create_stemcell has its third argument."""
    return version >= _WITH_TAGS


def networks_to_wire(networks: Networks) -> dict[str, Any]:
    """Networks as create_vm takes and answers them."""
    return {name: network.to_document() for name, network in networks.items()}


def result_to_wire(value: object, version: int) -> Any:
    """What a method of Cloud returned, as the version puts it."""
    if isinstance(value, Vm):
        return str(value.cid) if version < _WITH_HINTS else [str(value.cid), networks_to_wire(value.networks)]
    if isinstance(value, DiskHint):
        return None if version < _WITH_HINTS else to_plain(value.to_wire())
    if isinstance(value, CreatedNetwork):
        return [str(value.cid), to_plain(value.addresses), to_plain(value.cloud_properties)]
    return to_plain(value)


def arguments_to_wire(method: str, arguments: Sequence[object], version: int) -> list[Any]:
    """A caller's arguments in the newest shape, as the version takes them."""
    if method == "create_stemcell":
        image_path, cloud_properties, tags = arguments
        env = [{"tags": tags}] if takes_stemcell_tags(version) else []
        return [to_plain(argument) for argument in (image_path, cloud_properties, *env)]
    return [to_plain(argument) for argument in arguments]


def stemcell_tags(env: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tags in create_stemcell's third argument. Raises CpiError if they are no object."""
    tags = env.get("tags")
    if tags is not None and not isinstance(tags, Mapping):
        raise errors.CpiError("create_stemcell: env.tags: expected an object")
    return tags or {}
