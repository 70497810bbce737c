"""The settings document of an agent: complete, and kept true by attaching and detaching."""

from cpi.contract.ids import AgentId, DiskCid
from cpi.contract.model import AgentDefaults, DiskHint, Network
from cpi.kit.agent_settings import agent_settings, with_disk, without_disk

DISK, OTHER = DiskCid("disk-1"), DiskCid("disk-2")


def test_a_new_vm_gets_all_it_was_made_with() -> None:
    """All of env; unknown keys of networks; no persistent disk."""
    settings = agent_settings(
        AgentId("agent-1"),
        "vm-1",
        {"web": Network(ip="10.0.0.6", dns=("10.0.0.2",), extra={"routes": [1]})},
        {"bosh": {"password": "*"}, "persistent_disk_fs": "xfs"},
        AgentDefaults("nats://n", ("0.pool",), {"provider": "dav"}),
        system_disk="/dev/sda",
        ephemeral_disk="/dev/sdb",
    )
    assert settings == {
        "agent_id": "agent-1",
        "vm": {"name": "vm-1"},
        "networks": {"web": {"type": "manual", "ip": "10.0.0.6", "dns": ["10.0.0.2"], "cloud_properties": {}, "routes": [1]}},
        "disks": {"system": "/dev/sda", "ephemeral": "/dev/sdb", "persistent": {}},
        "env": {"bosh": {"password": "*"}, "persistent_disk_fs": "xfs"},
        "ntp": ["0.pool"],
        "mbus": "nats://n",
        "blobstore": {"provider": "dav"},
    }


def test_what_is_not_configured_is_not_told() -> None:
    """env.bosh brings it, or nobody needs it."""
    settings = agent_settings(AgentId("a"), "vm-1", {}, None, AgentDefaults())
    assert "mbus" not in settings
    assert "blobstore" not in settings
    assert settings["env"] == {}


def test_disks_come_and_go_without_touching_what_was_there() -> None:
    """Each call makes a new document; one twice changes nothing."""
    bare = agent_settings(AgentId("a"), "vm-1", {}, None, AgentDefaults())
    one = with_disk(bare, DISK, DiskHint(path="/dev/loop1"))
    both = with_disk(with_disk(one, OTHER, DiskHint(device="/dev/sdc")), DISK, DiskHint(path="/dev/loop1"))
    assert both["disks"]["persistent"] == {"disk-1": {"path": "/dev/loop1"}, "disk-2": "/dev/sdc"}
    assert without_disk(without_disk(both, OTHER), OTHER) == one
    assert without_disk(one, DISK) == bare
    assert bare["disks"]["persistent"] == {}
