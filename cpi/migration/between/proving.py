"""Whether the new guest's disk holds what the old one's does: listed and read by each guest, and set against each other."""

import msgspec

from cpi.contract import errors
from cpi.migration.between import scripts
from cpi.migration.between.crossing import Crossing
from cpi.migration.verifying import Verified, names_in, three_numbers, told

_CONTENT = ""
_NAMES = "names"


def verify_all(crossing: Crossing) -> Verified:
    """Compare everything while the jobs run. What differs, most of it since it is written to, goes with the next pass."""
    crossing.here(scripts.CHOOSE, "all")
    crossing.there(scripts.THERE, _CONTENT)
    files, size, differing = three_numbers(crossing.here(scripts.ALL).stdout)
    return Verified(files, size, differing)


def verify_doubtful(crossing: Crossing) -> None:
    """Read once more, while the jobs run, what had differed. Raises Unreadable if it cannot be."""
    crossing.here(scripts.CHOOSE, "doubtful")
    crossing.there(scripts.THERE, _CONTENT)
    crossing.here(scripts.DOUBTFUL)


def check_lasting(crossing: Crossing) -> None:
    """Raises CloudError, while the jobs run, naming what the new disk cannot hold, and what differs though it did not change."""
    kinds = crossing.here(scripts.FLAGGED).stdout
    crossing.there(scripts.FLAG, "probe", stdin=kinds)
    crossing.there(scripts.THERE, _NAMES)
    names = names_in(crossing.here(scripts.LASTING).stdout)
    if names:
        raise errors.CloudError(f"the new disk cannot hold these as they are on the old one: {told(names)}")


def verify_changes(crossing: Crossing) -> Verified:
    """Everything that lies on both disks, and the content of what the last pass said; what differs is copied again.
    When they are the same, flags that rsync leaves behind are carried over.

    Raises CloudError naming what still differs, or cannot be kept.
    """
    found, names, flagged = _compared(crossing)
    if names:
        crossing.here(scripts.REPAIR)
        found, still, flagged = _compared(crossing)
        if still:
            raise errors.CloudError(f"the new disk differs from the old one although it was copied twice: {told(still)}")
    if flagged:
        crossing.there(scripts.FLAG, "set")
    return msgspec.structs.replace(found, differing=len(names))


def _compared(crossing: Crossing) -> tuple[Verified, list[bytes], int]:
    crossing.there(scripts.THERE, _CONTENT)
    head, _, names = crossing.here(scripts.SAME).stdout.partition(b"\n")
    paths, files, size = three_numbers(head)
    return Verified(files, size, paths=paths), names_in(names), int(head.split()[0])
