"""Edges of what EC2 takes, and of what a VM takes along when it goes."""

from types import SimpleNamespace
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.ids import AgentId
from cpi.contract.model import AgentDefaults, Network
from cpi_drivers.aws.vms import lifecycle
from cpi_drivers.aws.vms.agent_settings import LARGEST, user_data
from cpi_drivers.aws.vms.launch_disks import LaunchDisks


def _document(filling: int) -> str:
    env = {"bosh": {"filling": "x" * filling}}
    return user_data(
        AgentId("a"), {"n": Network(type="dynamic")}, {}, env, AgentDefaults(), LaunchDisks([], None, []), "/dev/xvda"
    )


def test_user_data_of_just_16_kib_are_taken() -> None:
    """One byte more, and EC2 would refuse the VM."""
    room = LARGEST - len(_document(0))
    assert len(_document(room)) == LARGEST
    with pytest.raises(errors.CpiError, match="EC2 takes 16384"):
        _document(room + 1)


def test_interfaces_that_do_not_go_with_their_vm_are_deleted_after_it() -> None:
    """Whoever made the VM was killed before EC2 was asked to take them along; those that go by themselves are left to EC2."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def call(action: str, **wish: Any) -> Any:
        calls.append((action, wish))
        return {"NetworkInterfaces": [{"NetworkInterfaceId": "eni-stays"}]}

    account: Any = SimpleNamespace(
        client=SimpleNamespace(call=call), patience=SimpleNamespace(address_busy=1), wait=lambda look, *_: look()
    )
    nics = [
        {"NetworkInterfaceId": "eni-goes", "Attachment": {"DeleteOnTermination": True}},
        {"NetworkInterfaceId": "eni-stays", "Attachment": {"DeleteOnTermination": False}},
    ]
    lifecycle._delete_left_interfaces(account, {"NetworkInterfaces": nics})
    (looked, filters), deleted = calls
    assert (looked, filters["Filters"][0]["Values"]) == ("DescribeNetworkInterfaces", ["eni-stays"])
    assert deleted == ("DeleteNetworkInterface", {"NetworkInterfaceId": "eni-stays"})
