"""What each message is answered, against the shapes that the BOSH agent was recorded with."""

from tests.unit.drivers.local_agent.vm import Vm


def test_ping_and_info(vm: Vm) -> None:
    """The two that need nothing."""
    assert vm.reply("ping") == {"value": "pong"}
    assert vm.reply("info") == {"value": {"api_version": 1}}
