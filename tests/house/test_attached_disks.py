"""Which clouds grow disks that a VM uses, and say so by what they offer."""

from cpi import registry
from cpi.contract.operator import ChangesAttachedDisks, GrowsAttachedDisks


def test_these_clouds_grow_disks_that_are_attached() -> None:
    """Where the API can, the driver does."""
    clouds = {name: registry.load(name) for name in registry.driver_names()}
    assert {name for name, cloud in clouds.items() if issubclass(cloud, GrowsAttachedDisks)} >= {
        "aws",
        "cloudstack",
        "google",
        "local",
        "openstack",
        "vcloud",
        "vsphere",
    }
    assert {name for name, cloud in clouds.items() if issubclass(cloud, ChangesAttachedDisks)} >= {
        "aws",
        "google",
        "local",
        "openstack",
    }
