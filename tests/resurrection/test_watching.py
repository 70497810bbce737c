"""Instances on the local cloud that die, and a monitor that brings them back."""

import time

import pytest

from cpi.resurrection.alert import Kind
from tests.resurrection.deployment import Deployment
from tests.resurrection.monitors import watching


@pytest.mark.parametrize("what", ["vm", "agent", "gone"])
def test_what_dies_comes_back_with_its_disk_and_its_address(deployment: Deployment, what: str) -> None:
    """A killed VM, a silent agent in a VM whose jobs still run, a VM that was deleted: another VM, the same rows."""
    one, began = deployment.add("db/0"), time.monotonic()
    with watching(deployment) as watch:
        watch.for_seconds(1.5)
        assert deployment.vm_of(one) == one.first_vm
        watch.alerts.clear()  # on a busy machine it may have been silent for a while
        deployment.hurt(one, what)
        watch.until(lambda: (Kind.RECREATED, "db/0") in watch.told(), "it is recreated")
        watch.for_seconds(0.5)
        (view,) = watch.monitor.views()
        assert (view.condition, view.vm) == ("well", deployment.vm_of(one))
    assert deployment.vm_of(one) != one.first_vm
    deployment.assert_well(one)
    deployment.assert_nothing_left_over()
    assert watch.told() == [(Kind.DOWN, "db/0"), (Kind.RECREATED, "db/0")]
    end = watch.alerts[-1]
    assert end.jobs_down_seconds is not None
    assert 1 < end.jobs_down_seconds <= time.monotonic() - began
    assert end.done[-1] == "start"
