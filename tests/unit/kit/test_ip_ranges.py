"""Ranges of networks that a director has made: others may take them at the same time."""

import pytest

from cpi.contract import errors
from cpi.kit.ip_ranges import Range, made_in_free_range

_BLOCK = Range("10.0.0.0/30")


class _Taken(errors.CloudError):
    """Somebody was quicker."""


class _Cloud:
    """Shows what is taken only once a range was refused."""

    def __init__(self, *others: str) -> None:
        self.others = [Range(other) for other in others]
        self.asked: list[str] = []

    def taken(self) -> list[Range]:
        """As far as it is known by now."""
        return [other for other in self.others if str(other) in self.asked]

    def make(self, wanted: Range) -> str:
        """Raises _Taken for a range of somebody else."""
        self.asked.append(str(wanted))
        if wanted in self.others:
            raise _Taken(f"{wanted} is taken")
        return str(wanted)


def _made(cloud: _Cloud) -> str:
    return made_in_free_range(32, "vpc-1", [_BLOCK], cloud.taken, cloud.make, lambda error: isinstance(error, _Taken))


def test_a_range_that_somebody_else_took_meanwhile_is_passed_over() -> None:
    """Another look shows it."""
    assert _made(_Cloud("10.0.0.0/32", "10.0.0.1/32")) == "10.0.0.2/32"


def test_when_the_last_one_is_taken_there_is_none() -> None:
    """Said as that."""
    with pytest.raises(errors.CloudError, match=r"no range of /32 is free in vpc-1, which has 10\.0\.0\.0/30"):
        _made(_Cloud(*(f"10.0.0.{number}/32" for number in range(4))))


def test_a_cloud_that_never_shows_what_is_taken_is_not_asked_for_ever() -> None:
    """Its own refusal is raised."""
    cloud = _Cloud("10.0.0.0/32")
    cloud.taken = list  # type: ignore[method-assign]  # nothing is shown
    with pytest.raises(_Taken):
        _made(cloud)
    assert cloud.asked == ["10.0.0.0/32"] * 5


def test_any_other_refusal_is_raised_at_once() -> None:
    """It has nothing to do with ranges."""

    def refuse(_: Range) -> str:
        raise errors.CloudError("no permission")

    with pytest.raises(errors.CloudError, match="no permission"):
        made_in_free_range(32, "vpc-1", [_BLOCK], list, refuse, lambda error: isinstance(error, _Taken))
