"""What agents read."""

import base64
import json
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.ids import AgentId
from cpi.contract.model import AgentDefaults, Network
from cpi_drivers.openstack.vms import agent_settings

NETWORKS = {
    "apps": Network(ip="10.0.0.5", mac="fa:16:3e:00:00:01", dns=("10.0.0.2",), default=("gateway",)),
    "edge": Network(type="dynamic", dns=("10.1.0.2",), default=("dns",)),
}


def told(**changes: Any) -> dict[str, Any]:
    """Settings of a VM."""
    given: dict[str, Any] = {"has_ephemeral_disk": True, "use_dhcp": True, **changes}
    return agent_settings.document(
        AgentId("agent"), "vm-1", NETWORKS, {"bosh": {"group": "g"}}, AgentDefaults(mbus="nats://x"), **given
    )


def test_the_shape_is_that_of_the_official_cpis() -> None:
    """The same agents read it."""
    settings = told()
    assert settings["server"] == {"name": "vm-1"}
    assert settings["vm"] == {"name": "vm-1"}
    assert settings["agent_id"] == "agent"
    assert settings["mbus"] == "nats://x"
    assert settings["env"] == {"bosh": {"group": "g"}}
    assert settings["disks"] == {"system": "/dev/sda", "ephemeral": "/dev/sdb", "persistent": {}}


def test_a_flavour_without_an_ephemeral_disk_leaves_the_root_disk_to_the_agent() -> None:
    """It makes a partition there."""
    assert told(has_ephemeral_disk=False)["disks"]["ephemeral"] is None


def test_manual_networks_say_whether_dhcp_is_asked_and_carry_their_mac() -> None:
    """The agent matches interfaces by it."""
    networks = told(use_dhcp=False)["networks"]
    assert (networks["apps"]["use_dhcp"], networks["apps"]["mac"]) == (False, "fa:16:3e:00:00:01")
    assert "use_dhcp" not in networks["edge"]


def test_resolvers_are_those_of_the_network_that_is_the_default_for_dns() -> None:
    """For agents that read them before their networks."""
    assert told()["dns"] == {"nameserver": ["10.1.0.2"]}


def test_nova_gets_it_in_base64() -> None:
    """As JSON within."""
    assert json.loads(base64.b64decode(agent_settings.encoded({"a": 1}))) == {"a": 1}


def test_more_than_nova_takes_is_refused_before_any_call() -> None:
    """It would be refused after the ports were made."""
    with pytest.raises(errors.CpiError, match="65535"):
        agent_settings.encoded({"env": "x" * 60000})
