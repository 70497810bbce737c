"""Server pools of load balancers: a static one names addresses, a dynamic one a group. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

Pool = Mapping[str, Any]


class Member(msgspec.Struct, frozen=True):
    """A VM in a static pool."""

    pool: str
    """The pool's path."""

    address: str
    port: int | None = None


def group_of(pool: Pool) -> str | None:
    """The path of a dynamic pool's group; None for a static one."""
    return (pool.get("member_group") or {}).get("group_path")


def with_member(pool: Pool, name: str, member: Member) -> Pool | None:
    """The pool with a VM; None if it has it."""
    members = list(pool.get("members") or ())
    if any(_is(one, member) for one in members):
        return None
    added = {"display_name": name, "ip_address": member.address, "admin_state": "ENABLED"}
    return {**pool, "members": [*members, added | ({"port": str(member.port)} if member.port else {})]}


def without_member(pool: Pool, name: str, member: Member) -> Pool | None:
    """The pool without it; None if it has it not. A member of that address with another VM's name is left alone."""
    members = list(pool.get("members") or ())
    kept = [one for one in members if not (_is(one, member) and one.get("display_name", name) == name)]
    return {**pool, "members": kept} if len(kept) < len(members) else None


def without_named(pool: Pool, name: str) -> Pool | None:
    """The pool without members of a VM's name; None if it has none."""
    members = list(pool.get("members") or ())
    kept = [one for one in members if one.get("display_name") != name]
    return {**pool, "members": kept} if len(kept) < len(members) else None


def _is(one: Mapping[str, Any], member: Member) -> bool:
    return one.get("ip_address") == member.address and (one.get("port") or None) == (str(member.port) if member.port else None)
