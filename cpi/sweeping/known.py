"""What is known: the CIDs that a director, a watch file or an operator's list names, and for what they speak.

A kind of resource may be called left over only if all that is known of that kind was given. An answer for one deployment speaks
for that deployment alone.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from cpi.contract import errors
from cpi.contract.operator import Kind, TaggedResource

KINDS: Final[tuple[Kind, ...]] = ("VM", "disk", "snapshot", "stemcell", "network")
"""What a director knows by a CID. All else belongs to one of these, and is judged by what it is attached to."""

DEPLOYMENT: Final = "deployment"
_WORDS: Final = re.compile(r"[^\w-]+")
_USING: Final = re.compile(r"Using deployment '(.+)'")
_SUCCESS: Final = "Succeeded"

Part = Kind | str
"""A kind, or one of the two lists that together tell of disks."""

_ATTACHED: Final = "disks of instances"
_ORPHANED: Final = "orphaned disks"
_DISKS: Final = frozenset({_ATTACHED, _ORPHANED})


class Known(msgspec.Struct, frozen=True):
    """CIDs, and of which kinds they are all that is known."""

    words: frozenset[str] = frozenset()
    """The CIDs, and the words in them: a CID may hold more than an id, such as a zone or a hint."""

    everywhere: frozenset[Part] = frozenset()
    """For all deployments."""

    only_in: frozenset[tuple[Part, str]] = frozenset()
    """For one deployment."""

    def __or__(self, other: "Known") -> "Known":
        """Both."""
        return Known(self.words | other.words, self.everywhere | other.everywhere, self.only_in | other.only_in)

    def has(self, resource: TaggedResource) -> bool:
        """Whether a CID names it."""
        return resource.id in self.words

    def names(self, id_: str) -> bool:
        """Whether a CID holds this id."""
        return id_ in self.words

    def lacks(self, resource: TaggedResource) -> str:
        """What was not given and would be needed to say that nobody knows it; "" if it was."""
        if resource.kind not in KINDS or self._speaks(resource.kind, resource):
            return ""
        if resource.kind != "disk":
            return f"no list of {resource.kind}s{self._of(resource)} was given"
        missing = sorted(part for part in _DISKS if not self._speaks(part, resource))
        return f"no list of {' and of '.join(missing)}{self._of(resource)} was given" if missing else ""

    def _speaks(self, part: Part, resource: TaggedResource) -> bool:
        return part in self.everywhere or (part, resource.tags.get(DEPLOYMENT, "")) in self.only_in

    def _of(self, resource: TaggedResource) -> str:
        deployment = resource.tags.get(DEPLOYMENT)
        return f" of deployment {deployment}" if deployment and self.only_in else ""


def of_list(cids: Iterable[str], source: str) -> Known:
    """An operator's list, which speaks for all kinds. Raises CpiError if it is empty: then everything would be left over."""
    found = frozenset(filter(None, (line.partition("#")[0].strip() for line in cids)))
    if not found:
        raise errors.CpiError(f"{source}: the list of CIDs is empty, so everything would be left over: use --none KIND for that")
    return Known(_words(found), frozenset(KINDS))


def _words(cids: Iterable[str]) -> frozenset[str]:
    return frozenset(word for cid in cids for word in (cid.strip(), *_WORDS.split(cid)) if word)


def of_instances(vms: Iterable[str], disks: Iterable[str], stemcells: Iterable[str]) -> Known:
    """What a watch file names. It speaks for VMs and disks, if it names any."""
    words = _words([*vms, *disks, *stemcells])
    return Known(words, frozenset({"VM", "disk"}) if words else frozenset())


def of_cids(cids: Iterable[str]) -> Known:
    """CIDs that speak for nothing but themselves."""
    return Known(_words(cids))


def of_nothing(kinds: Collection[str]) -> Known:
    """In writing: nothing of these kinds is known. Raises CpiError for an unknown kind."""
    by_name = {kind.lower(): kind for kind in KINDS}
    unknown = [kind for kind in kinds if kind.lower() not in by_name]
    if unknown:
        raise errors.CpiError(f"--none: unknown kind {', '.join(unknown)}; known kinds: {', '.join(by_name)}")
    return Known(everywhere=frozenset(by_name[kind.lower()] for kind in kinds))


# ------------------------------------------------------------------ a director's answers


def of_answer(text: str, source: str) -> Known:
    """What the BOSH CLI printed with --json. Raises CpiError if it is not the whole of such an answer."""
    try:
        document = json.loads(text)
        tables = document["Tables"]
        lines = [str(line) for line in document.get("Lines") or ()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.CpiError(f"{source}: not what `bosh … --json` prints") from error
    if _SUCCESS not in lines:
        raise errors.CpiError(f"{source}: `bosh … --json` did not succeed (there is no line {_SUCCESS!r}): the list may be short")
    deployment = next((match[1] for line in lines if (match := _USING.fullmatch(line))), None)
    known = Known()
    for table in tables or ():
        known |= _of_table(table, deployment, source)
    if not tables:
        raise errors.CpiError(f"{source}: it has no table: of what it tells is unknown; use --none KIND if there is nothing")
    return known


def _of_table(table: Mapping[str, Any], deployment: str | None, source: str) -> Known:
    columns = frozenset(table.get("Header") or ())
    part, column = _told(str(table.get("Content")), columns, source)
    rows = table.get("Rows") or ()
    missing = [row for row in rows if column not in row]
    if missing:
        raise errors.CpiError(f"{source}: a row has no {column!r}: {json.dumps(missing[0])[:200]}")
    words = _words(str(row[name]) for row in rows for name in {column, "vm_cid"} & row.keys())
    parts = frozenset({part, "VM"} if "vm_cid" in columns else {part})
    if deployment is None:
        return Known(words, everywhere=parts)
    return Known(words, only_in=frozenset((one, deployment) for one in parts))


def _told(content: str, columns: frozenset[str], source: str) -> tuple[Part, str]:
    """Of what a table tells, and in which column the CIDs are."""
    if content == "disks" and "orphaned_at" in columns:
        return _ORPHANED, "disk_cid"
    if content == "dynamic disks":
        return content, "disk_cid"
    if content in ("stemcells", "snapshots"):
        return content.removesuffix("s"), "cid"
    if "disk_cids" in columns and "vm_cid" in columns:
        return _ATTACHED, "disk_cids"
    if "vm_cid" in columns:
        return "VM", "vm_cid"
    raise errors.CpiError(f"{source}: a table of {content!r} without CIDs{_advice(content)}")


def _advice(content: str) -> str:
    return ": use `bosh instances --details --json`" if content == "instances" else ""


def kinds_in(known: Known) -> Iterator[str]:
    """The kinds for which it speaks, wholly or for some deployments."""
    parts = known.everywhere | {part for part, _ in known.only_in}
    yield from (kind for kind in KINDS if kind in parts or (kind == "disk" and parts >= _DISKS))
