"""Instances on the local cloud that die, and a monitor that brings them back."""

import pytest

from cpi.resurrection.alert import Kind
from tests.resurrection.ground import Ground
from tests.resurrection.watching import watching


@pytest.mark.parametrize("what", ["vm", "agent", "gone"])
def test_what_dies_comes_back_with_its_disk_and_its_address(ground: Ground, what: str) -> None:
    """A killed VM, a silent agent in a VM whose jobs still run, a VM that was deleted: another VM, the same rows."""
    one = ground.add("db/0")
    with watching(ground) as there:
        there.for_seconds(1.5)
        assert there.alerts == []
        ground.hurt(one, what)
        there.until(lambda: (Kind.RECREATED, "db/0") in there.told(), "it is recreated")
        there.for_seconds(0.5)
        (view,) = there.monitor.views()
        assert (view.condition, view.vm) == ("well", ground.vm_of(one))
    assert ground.vm_of(one) != one.first_vm
    ground.assert_well(one)
    ground.assert_nothing_left_over()
    assert there.told() == [(Kind.DOWN, "db/0"), (Kind.RECREATED, "db/0")]
    end = there.alerts[-1]
    assert end.jobs_down_seconds is not None
    assert 1 < end.jobs_down_seconds < 20
    assert end.done[-1] == "start"
