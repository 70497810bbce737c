"""What Google may not know yet: for a minute after a thing was made, "not found" of it means "not yet".

Names lie in many places of Google at once, and a call may reach one that is a little behind, as with an operation that has
just begun. This is one rule for every call that names a thing, whichever process made it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.kit import private_files
from cpi.kit.recent import Recent
from cpi_drivers.google.api import errors

NOT_YET_SECONDS: Final = 60.0

# A VM leaves its load balancers as far as they know it.
_COURTESIES: Final = frozenset({"compute.instanceGroups.removeInstances", "compute.targetPools.removeInstance"})
_PARAMETERS: Final[Mapping[str, str]] = {
    "disk": "disks",
    "image": "images",
    "instance": "instances",
    "snapshot": "snapshots",
    "subnetwork": "subnetworks",
}
_PATH: Final = re.compile(r"((?:zones/[^/'\"]+|regions/[^/'\"]+|global)/\w+/[a-z0-9-]+)(?![\w/])")
_NAME: Final = re.compile(r"\(?name = \"([^\"]+)\"\)?")

Item = Mapping[str, Any]


class Visibility:
    """Which refusals and answers are too early. A thing is known by its path; in lists of all zones, by kind and name.

    Placement policies are not among them: one that is missing is made.
    """

    def __init__(self, project: str) -> None:
        folder = private_files.optional_folder()
        self._recent = Recent(folder and folder / "google" / "recent" / project, NOT_YET_SECONDS)

    def note_made(self, method: str, operation: Item) -> None:
        """An operation that has ended well."""
        if method.endswith(".insert") and method != "resourcePolicies.insert":
            self._recent.note(_with_short(_paths(operation.get("targetLink", ""))))

    def note_snapshot(self, method: str, body: Item) -> None:
        """The operation that makes a snapshot names its disk alone."""
        if method == "disks.createSnapshot":
            self._recent.note([f"global/snapshots/{body['name']}"])

    def note_ending(self, name: str, arguments: Item) -> None:
        """A call that was taken."""
        if name.endswith(".delete"):
            self._recent.end(_with_short(_parameters(arguments)))

    def seconds_left(self, name: str, arguments: Item, result: Item | contract_errors.CloudError) -> float:
        """For how long an answer or a refusal means "not yet"; 0: it means what it says."""
        if isinstance(result, errors.Missing):
            carried_out = name.endswith(".delete") and result.after_lost_answer
            if name in _COURTESIES or carried_out:
                return 0.0
            return self._left({*_paths(result.message)} or {*_parameters(arguments), *_paths(arguments)})
        if not isinstance(result, Exception) and name.endswith(".aggregatedList") and _is_nothing(result):
            sought = _NAME.fullmatch(str(arguments.get("filter", "")))
            return self._left({f"{name.split('.')[1]}/{sought[1]}"}) if sought else 0.0
        return 0.0

    def _left(self, ids: set[str]) -> float:
        return max(map(self._recent.left, ids), default=0.0)


def _is_nothing(answer: Item) -> bool:
    """Every place was asked, and has none."""
    places = answer.get("items", {}).values()
    whole = all(told.get("warning", {}).get("code") in (None, "NO_RESULTS_ON_PAGE") for told in places)
    return (
        whole
        and not answer.get("nextPageToken")
        and not any(value for told in places for value in told.values() if isinstance(value, list))
    )


def _with_short(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        yield path
        yield path.split("/", 2)[-1] if not path.startswith("global/") else path.removeprefix("global/")


def _parameters(arguments: Item) -> Iterator[str]:
    places = [f"{key}s/{arguments[key]}" for key in ("zone", "region") if key in arguments]
    for key, kind in _PARAMETERS.items():
        if key in arguments:
            yield f"{places[0] if places else 'global'}/{kind}/{arguments[key]}"


def _paths(value: Any) -> Iterator[str]:
    """What a text or a body names by its path."""
    if isinstance(value, str):
        yield from _PATH.findall(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _paths(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _paths(item)
