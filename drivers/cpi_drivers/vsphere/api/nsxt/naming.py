"""Where things of the policy API lie, and how they are found by their names."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cpi.contract import errors

if TYPE_CHECKING:
    from cpi_drivers.vsphere.api.nsxt.client import Nsx

Document = Mapping[str, Any]

POLICY: Final = "/policy/api/v1"


def one_of(names: Sequence[str]) -> str:
    """Any of these words, as the search takes them."""
    quoted = ('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    return f"({' OR '.join(quoted)})"


def named(nsx: "Nsx", kind: str, what: str, names: Sequence[str]) -> dict[str, Document]:
    """Things by the names that were given for them: ids or display names.

    Raises CloudError that names those that are not there, or of which there are several.
    """
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return {}
    found = nsx.search(kind, f"(display_name:{one_of(wanted)} OR id:{one_of(wanted)})")
    meant = {name: _meant(name, found) for name in wanted}
    faults = [f"{name!r} is not there" for name, those in meant.items() if not those]
    faults += [f"{name!r} is {_several(those)}: name its id" for name, those in meant.items() if len(those) > 1]
    if faults:
        raise errors.CloudError(f"NSX-T {what} at {nsx.url}: {'; '.join(faults)}")
    return {name: those[0] for name, those in meant.items()}


def _meant(name: str, found: Sequence[Document]) -> list[Document]:
    by_id = [one for one in found if one.get("id") == name]
    return by_id or [one for one in found if one.get("display_name") == name]


def _several(those: Sequence[Document]) -> str:
    return f"the name of {len(those)} ({', '.join(str(one.get('path')) for one in those)})"
