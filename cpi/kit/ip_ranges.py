"""Ranges of addresses of networks that a director has made: checked, or chosen where a size is asked for."""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeVar

from cpi.contract import errors
from cpi.contract.model import NetworkDefinition

Range = ipaddress.IPv4Network
T = TypeVar("T")

_TRIES: Final = 5


class Sizes(NamedTuple):
    """The prefixes of IPv4 ranges that a cloud has."""

    cloud: str
    largest: int
    smallest: int

    def check(self, bits: int | None) -> int:
        """The prefix. Raises CpiError if there is none, or none such."""
        if not bits:
            raise errors.CpiError("a network needs a range or netmask_bits")
        if not self.largest <= bits <= self.smallest:
            raise errors.CpiError(f"a network of /{bits} cannot be made: {self.cloud} has /{self.largest} to /{self.smallest}")
        return bits

    def range_of(self, definition: NetworkDefinition) -> Range:
        """The range that is asked for, in a cloud whose gateway is a range's first address. Raises CpiError."""
        try:
            wanted = Range(definition.range or "")
        except ValueError as error:
            raise errors.CpiError(f"{definition.range!r} is no IPv4 range: {error}") from error
        self.check(wanted.prefixlen)
        if definition.gateway and definition.gateway != str(wanted[1]):
            raise errors.CpiError(
                f"the gateway of {wanted} is {wanted[1]}: {self.cloud} takes the first address, not {definition.gateway}"
            )
        return wanted


def made_in_free_range(
    bits: int,
    where: str,
    blocks: Iterable[Range],
    taken: Callable[[], Iterable[Range]],
    make: Callable[[Range], T],
    is_taken: Callable[[errors.CloudError], bool],
) -> T:
    """What make makes in the first range of the size that nothing has.

    Another process may take the same range at the same time: make then raises what is_taken knows, and another look at taken
    finds the next. Raises CloudError if no range of where (a VPC, say) is free.
    """
    blocks = tuple(blocks)
    for tries_left in reversed(range(_TRIES)):
        used = tuple(taken())
        ranges = (one for block in blocks if block.prefixlen <= bits for one in block.subnets(new_prefix=bits))
        free = next((one for one in ranges if not any(one.overlaps(other) for other in used)), None)
        if free is None:
            raise errors.CloudError(f"no range of /{bits} is free in {where}, which has {', '.join(map(str, blocks))}")
        try:
            return make(free)
        except errors.CloudError as error:
            if not is_taken(error) or not tries_left:
                raise
    raise AssertionError("the last try returns or raises")
