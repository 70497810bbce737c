"""Which tagged resources are left over, why others are kept, and in which order leftovers are deleted. Pure: asks no cloud."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, get_args

import msgspec

from cpi.contract.operator import Kind, TaggedResource
from cpi.kit.tagged import OFFICIAL
from cpi.kit.tagging import DIRECTOR, TOKEN
from cpi.sweeping.known import DEPLOYMENT, Known

NO_DIRECTOR: Final = "none"
"""How a resource is meant that carries no director's tag."""

_ORDER: Final[Mapping[Kind, int]] = {kind: index for index, kind in enumerate(get_args(Kind))}


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Which leftovers are wanted."""

    before: dt.datetime | None = None
    """Only what was made before; None: of any age, known or not."""

    directors: frozenset[str] = frozenset()
    """UUIDs or names. Empty: the UUIDs on what is known."""

    deployment: str | None = None
    only_unfinished: bool = False
    """Only what carries the token of a call of which nothing is known."""


class Judged(msgspec.Struct, frozen=True):
    """A resource of the list."""

    resource: TaggedResource
    kept: str = ""
    """Why it is not deleted; "" for a leftover."""

    hidden: bool = False
    """Whether it is left out of the table: it is known, or another director's, or not among what is wanted."""

    @property
    def is_left_over(self) -> bool:
        """Whether it may be deleted."""
        return not self.kept and not self.hidden


def judged(listed: Sequence[TaggedResource], known: Known, wish: Wish) -> list[Judged]:
    """Each resource of the list, in the order in which leftovers are deleted."""
    known = known.compared(listed)
    finished = {token_of(one) for one in listed if known.has(one)}
    directors = wish.directors or directors_of(listed, known)
    first = [_alone(one, known, wish, directors, finished) for one in listed]
    settled = _together(first)
    return sorted(settled, key=lambda one: (_ORDER[one.resource.kind], one.resource.id))


def leftovers(found: Iterable[Judged]) -> list[TaggedResource]:
    """Those that may be deleted."""
    return [one.resource for one in found if one.is_left_over]


def directors_of(listed: Iterable[TaggedResource], known: Known) -> frozenset[str]:
    """The UUIDs on what is known: two directors may have the same name, so names are not taken."""
    return frozenset(one.tags[DIRECTOR] for one in listed if DIRECTOR in one.tags and known.has(one))


def director_of(resource: TaggedResource) -> str:
    """Its director's UUID, or else its name, or else NO_DIRECTOR."""
    return resource.tags.get(DIRECTOR) or resource.tags.get(OFFICIAL) or NO_DIRECTOR


def token_of(resource: TaggedResource) -> str:
    """The token of the call that made it."""
    return resource.tags.get(TOKEN, "")


def _is_of(resource: TaggedResource, directors: Collection[str]) -> bool:
    names = {resource.tags.get(DIRECTOR, ""), resource.tags.get(OFFICIAL, "")} - {""} or {NO_DIRECTOR}
    return not names.isdisjoint(directors)


def _alone(resource: TaggedResource, known: Known, wish: Wish, directors: Collection[str], finished: Collection[str]) -> Judged:
    """By what it is itself."""
    hidden = _not_asked_for(resource, known, wish, directors, finished)
    if hidden:
        return Judged(resource, hidden, hidden=True)
    holds = next((disk for disk in resource.holds if known.names(disk)), None)
    has_known = f"has the disk {holds}, which is known" if holds is not None else ""
    return Judged(resource, known.lacks(resource) or has_known or _young(resource, known, wish))


def _not_asked_for(
    resource: TaggedResource, known: Known, wish: Wish, directors: Collection[str], finished: Collection[str]
) -> str:
    if known.has(resource):
        return "known"
    if resource.attached_to and known.names(resource.attached_to):
        return "in use by what is known"
    if not _is_of(resource, directors):
        return f"of director {director_of(resource)}"
    if wish.deployment is not None and resource.tags.get(DEPLOYMENT) != wish.deployment:
        return "of another deployment, or of none"
    unfinished = token_of(resource) and token_of(resource) not in finished
    return "of a call that finished" if wish.only_unfinished and not unfinished else ""


def _young(resource: TaggedResource, known: Known, wish: Wish) -> str:
    if known.as_of is not None and resource.created is not None and resource.created > known.as_of:
        return f"made after the oldest list of what is known ({known.as_of:%Y-%m-%d %H:%M} UTC)"
    if wish.before is None:
        return ""
    if resource.created is None:
        return "its age is unknown"
    return "younger than --older-than" if resource.created > wish.before else ""


def _together(found: Sequence[Judged]) -> list[Judged]:
    """Whatever something that stays uses, or has, stays too."""
    present = list(found)
    while True:
        going = {(one.resource.kind, one.resource.id) for one in present if one.is_left_over}
        following = [one if not one.is_left_over else Judged(one.resource, _bound(one.resource, going)) for one in present]
        if following == present:
            return present
        present = following


def _bound(resource: TaggedResource, going: Collection[tuple[Kind, str]]) -> str:
    users = {id_ for kind, id_ in going if kind != resource.kind}  # a VM's own disk may have the VM's name
    if resource.attached_to and resource.attached_to not in users:
        return f"attached to {resource.attached_to}"
    held = next((disk for disk in resource.holds if ("disk", disk) not in going), None)
    return f"has the disk {held}, which is not left over" if held is not None else ""
