"""Every driver that puts metadata on disks can tell them: after a move, disks are followed by them."""

from cpi import registry
from cpi.contract.capability import Capability


def test_every_driver_with_disk_metadata_shows_it() -> None:
    """Whatever the database that knows of the move."""
    clouds = {name: registry.load(name) for name in registry.driver_names()}
    with_tags = [name for name, cloud in clouds.items() if Capability.DISK_METADATA in cloud.capabilities]
    assert [name for name in with_tags if not hasattr(clouds[name], "disk_tags")] == []
