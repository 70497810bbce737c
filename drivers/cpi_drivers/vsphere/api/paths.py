"""Things by their names or their paths, as people write them. Pure."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from cpi.contract import errors

T = TypeVar("T")

_ESCAPES: Final = {"%2f": "/", "%2F": "/", "%5c": "\\", "%5C": "\\", "%25": "%"}


def meant(requested: str, things: Mapping[str, T], called: str) -> T | None:
    """The thing that a name or a path means; things are by their paths, of which the parts are as the vCenter has them.

    A whole path goes before the end of one (its name, say), and that before a path that begins further above. `/` in a name may
    be written as it is or as `%2f`. None if nothing fits; raises CloudError naming the candidates if several do.
    """
    plain = _plain(requested).strip("/")
    paths = {path: _plain(path) for path in things}
    ways = (
        lambda path: path == plain,
        lambda path: path.endswith(f"/{plain}"),
        lambda path: plain.endswith(f"/{path}"),
    )
    for fits in ways:
        found = sorted(path for path, told in paths.items() if fits(told))
        if fits is ways[2]:
            found = [path for path in found if len(path) == max(map(len, found))]
        if len(found) > 1:
            raise errors.CloudError(f"{requested!r} means several {called}: {', '.join(found)}: say the path of one")
        if found:
            return things[found[0]]
    return None


def is_end_of(requested: str, path: str, folder: str) -> bool:
    """Whether a name or a path, as people write them, is the end of a path below a datacenter's folder, or the whole of it.

    With the folder in it (`DC0/datastore/gold`) it is the whole.
    """
    plain, known = f"/{_plain(requested).strip('/')}", f"/{_plain(path)}"
    above, _, whole = plain.partition(f"/{folder}/")
    return known == f"/{whole}" if whole else known.endswith(above)


def path_of(thing: Any, top: Any, found: Mapping[Any, Mapping[str, Any]]) -> str | None:
    """The names from below top down to a thing, among what was read (`name` and `parent`); None if it is not below it."""
    names: list[str] = []
    while thing is not None and thing != top:
        seen = found.get(thing, {})
        if "name" not in seen:
            return None
        names.append(str(seen["name"]))
        thing = seen.get("parent")
    return "/".join(reversed(names)) if thing is not None else None


def _plain(path: str) -> str:
    for escape, char in _ESCAPES.items():
        path = path.replace(escape, char)
    return path
