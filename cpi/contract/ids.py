"""Identifiers that the cloud gives its resources: opaque, never empty, each with its own type."""

from typing import Self

from cpi.contract import errors


class Cid(str):
    """A cloud id: a string that is never empty."""

    __slots__ = ()

    def __new__(cls, value: object) -> Self:
        """Raises CpiError unless value is a non-empty string."""
        if not isinstance(value, str) or not value.strip():
            raise errors.CpiError(f"{cls.__name__} must be a non-empty string, got {value!r}")
        return super().__new__(cls, value)


class StemcellCid(Cid):
    """An image the cloud can boot."""

    __slots__ = ()


class VmCid(Cid):
    """A VM."""

    __slots__ = ()


class DiskCid(Cid):
    """A persistent disk."""

    __slots__ = ()


class SnapshotCid(Cid):
    """A snapshot of a persistent disk."""

    __slots__ = ()


class NetworkCid(Cid):
    """A network made by create_network."""

    __slots__ = ()


class AgentId(Cid):
    """The id that the director gives to the agent in a VM."""

    __slots__ = ()
