"""Each driver with the oldest libraries, through the executable, against its simulated cloud."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.clouds.aws.lab import ZONES
from fixtures.clouds.aws.lab import lab as aws
from fixtures.clouds.cloudstack.lab import lab as cloudstack
from fixtures.clouds.google.lab import ZONE
from fixtures.clouds.google.lab import lab as google
from fixtures.clouds.openstack.lab import lab as openstack
from fixtures.clouds.vcloud.lab import lab as vcloud
from fixtures.clouds.vcsim.lab import lab as vsphere
from fixtures.local_cloud import local_config
from tests.installed.installing import Installed

_LABS: dict[str, Any] = {"aws": aws, "cloudstack": cloudstack, "google": google, "vcloud": vcloud, "vsphere": vsphere}
_PROPERTIES = {"aws": {"availability_zone": ZONES[0]}, "google": {"zone": ZONE}}


@pytest.fixture(params=["local", "openstack", *_LABS])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Of a cloud of its own."""
    if request.param == "local":
        yield local_config(tmp_path)
        return
    is_openstack = request.param == "openstack"
    with openstack(request.getfixturevalue("openstack_plane")) if is_openstack else _LABS[request.param]() as lab:
        yield lab.config()


@pytest.mark.slow
@pytest.mark.parametrize("installed", ["oldest"], indirect=True)
def test_a_disk_is_made_and_deleted(installed: Installed, config: dict[str, Any]) -> None:
    """By processes that know nothing of each other."""
    properties = _PROPERTIES.get(config["cloud"]["plugin"], {})
    made = installed.call(config, "create_disk", 1024, properties, None)
    assert made["error"] is None
    assert installed.call(config, "has_disk", made["result"])["result"] is True
    assert installed.call(config, "delete_disk", made["result"])["error"] is None
