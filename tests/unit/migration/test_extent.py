"""Where the size of a new disk is lost."""

import pytest

from cpi.contract.units import MiB
from cpi.migration.extent import shortfall
from cpi.migration.guest import Extent

_GIGA, _TERA = 1 << 30, 1 << 40


@pytest.mark.parametrize(
    ("extent", "words"),
    [
        (Extent(2 * _TERA, 2 * _TERA, 2 * _TERA), "3145728 MiB were requested, but the guest sees a disk of 2097152 MiB"),
        (Extent(3 * _TERA, 2 * _TERA, 2 * _TERA), "its partition 2097152 MiB: an MBR label ends at 2 TiB"),
        (Extent(3 * _TERA, 3 * _TERA, 2 * _TERA), "the device has 3145728 MiB, its filesystem 2097152 MiB"),
        (Extent(3 * _TERA, 3 * _TERA, 3 * _TERA - 60 * _GIGA), ""),
    ],
)
def test_what_is_too_short_is_named(extent: Extent, words: str) -> None:
    """The disk, its partition or its filesystem, with the figures; what a filesystem keeps for itself is no loss."""
    assert words in shortfall(extent, MiB(3 << 20))
    assert bool(words) == bool(shortfall(extent, MiB(3 << 20)))


def test_a_small_disk_may_keep_much_for_itself() -> None:
    """The log of an xfs of 320 MiB takes a fifth of it."""
    assert shortfall(Extent(320 << 20, 320 << 20, 230 << 20), MiB(320)) == ""
