"""What is said of a wait whose time is over."""

import pytest

from cpi.contract.model import CloudConfig
from cpi.kit.waiting import Overdue
from cpi_drivers.openstack import settings
from cpi_drivers.openstack.api.states import Document, Pending, Waits
from tests.drivers.openstack.test_settings import GOOD

_IN_A_MOMENT = {"state_timeout": 0.1, "wait_resource_poll_interval": 0.01}


def said(*looks: Document | Pending | None) -> str:
    """At the end of a wait that saw these, the last of them for ever."""
    rest = list(looks)
    waits = Waits(settings.read(CloudConfig(plugin="openstack", properties={**GOOD, **_IN_A_MOMENT})))
    with pytest.raises(Overdue) as caught:
        waits.until("create_vm: VM 1", lambda: rest.pop(0) if len(rest) > 1 else rest[0])
    return caught.value.message


def test_the_last_state_is_told_with_the_task_and_the_fault() -> None:
    """A build that waits for the scheduler is told from one that the hypervisor does not end."""
    scheduling = Pending({"status": "BUILD", "OS-EXT-STS:task_state": "scheduling"})
    assert said(scheduling) == "create_vm: VM 1: not within 0.1 s (state_timeout); it is in state 'BUILD', task 'scheduling'"
    assert said(scheduling, Pending({"status": "available"})).endswith("it is in state 'available'")
    assert said(Pending({"status": "BUILD", "fault": {"message": "no port"}})).endswith("'BUILD': no port")


def test_what_was_never_seen_is_not_made_up() -> None:
    """Nothing but the time is known."""
    assert said(None) == "create_vm: VM 1: not within 0.1 s (state_timeout)"
