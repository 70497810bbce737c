"""What is known: the CIDs that a director, a watch file or an operator's list names, and for what they speak.

A kind of resource may be called left over only if all that is known of that kind was given. An answer for one deployment speaks
for that deployment alone, and does not say that it is one: `bosh -d NAME vms --json` looks as `bosh vms --json` does where there
is one deployment. So one table speaks for the deployments of what it names.
"""

import datetime as dt
import functools
import json
import re
from collections.abc import Collection, Iterable, Mapping
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


class Instances(msgspec.Struct, frozen=True):
    """A list of instances that may be of some deployments only: it speaks for those to which what it names belongs."""

    words: frozenset[str]
    parts: frozenset[Part]
    is_of_a_director: bool
    """All that a director knows carries its deployment; what a watch file names may carry none."""


class Known(msgspec.Struct, frozen=True):
    """CIDs, and of which kinds they are all that is known."""

    words: frozenset[str] = frozenset()
    """The CIDs, and the words in them: a CID may hold more than an id, such as a zone or a hint."""

    everywhere: frozenset[Part] = frozenset()
    """For all deployments."""

    only_in: frozenset[tuple[Part, str]] = frozenset()
    """For one deployment; "": for what carries no deployment."""

    instances: frozenset[Instances] = frozenset()
    deployments: frozenset[str] = frozenset()
    """Their names, if they were given: all that the director has."""

    as_of: dt.datetime | None = None
    """When the oldest list was written: what was made later is in none."""

    def __or__(self, other: "Known") -> "Known":
        """Both."""
        return Known(
            self.words | other.words,
            self.everywhere | other.everywhere,
            self.only_in | other.only_in,
            self.instances | other.instances,
            self.deployments | other.deployments,
            min((one for one in (self.as_of, other.as_of) if one is not None), default=None),
        )

    def compared(self, listed: Iterable[TaggedResource]) -> "Known":
        """With lists of instances speaking for the deployments of what is listed and in them."""
        present, known = list(listed), self
        for one in self.instances:
            if one.is_of_a_director and len(self.deployments) == 1:
                known |= Known(everywhere=one.parts)
                continue
            found = {item.tags.get(DEPLOYMENT, "") for item in present if item.id in one.words}
            known |= Known(
                only_in=frozenset((part, name) for part in one.parts for name in found if name or not one.is_of_a_director)
            )
        return known

    def has(self, resource: TaggedResource) -> bool:
        """Whether a CID names it."""
        return resource.id in self.words

    def names(self, id_: str) -> bool:
        """Whether a CID holds this id."""
        return id_ in self.words

    def lacks(self, resource: TaggedResource) -> str:
        """Which list is missing to say that it is unknown; "" if none is."""
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
    """What a watch file names. It speaks for VMs and disks."""
    words = _words([*vms, *disks, *stemcells])
    parts: frozenset[Part] = frozenset({"VM", "disk"})
    return Known(words, instances=frozenset({Instances(words, parts, is_of_a_director=False)}))


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
    if not tables:
        raise errors.CpiError(
            f"{source}: it has no table, so it is unknown what it is a list of; use --none KIND if there is nothing"
        )
    each = [_of_table(table, deployment, source) for table in tables]
    known = functools.reduce(Known.__or__, each)
    if sum(bool(one.instances) for one in each) > 1:  # only an answer for all deployments has a table for each
        known |= Known(everywhere=frozenset.intersection(*(one.parts for one in known.instances)))
    return known


def _of_table(table: Mapping[str, Any], deployment: str | None, source: str) -> Known:
    content, columns = str(table.get("Content")), frozenset(table.get("Header") or ())
    rows = table.get("Rows") or ()
    if content == "deployments" and "name" in columns:
        return Known(deployments=frozenset(str(row.get("name")) for row in rows))
    cids = [column for column in ("vm_cid", "disk_cids", "disk_cid", "cid") if column in columns]
    if not cids:
        raise errors.CpiError(f"{source}: a table of {content!r} without CIDs{_advice(content)}")
    missing = [row for row in rows if not all(column in row for column in cids)]
    if missing:
        raise errors.CpiError(f"{source}: a row has no {' or no '.join(map(repr, cids))}: {json.dumps(missing[0])[:200]}")
    words = _words(str(row[column]) for row in rows for column in cids)
    if content in ("vms", "instances") and "vm_cid" in columns:
        parts: frozenset[Part] = frozenset({"VM", _ATTACHED} if "disk_cids" in columns else {"VM"})
        return Known(words, instances=frozenset({Instances(words, parts, is_of_a_director=True)}))
    if content == "snapshots":
        return Known(words, only_in=frozenset({("snapshot", deployment)} if deployment else ()))
    if content == "stemcells" or (content == "disks" and "orphaned_at" in columns):
        return Known(words, everywhere=frozenset({"stemcell" if content == "stemcells" else _ORPHANED}))
    return Known(words)  # dynamic disks, orphaned VMs: there are more than these


def _advice(content: str) -> str:
    return ": use `bosh instances --details --json`" if content == "instances" else ""
