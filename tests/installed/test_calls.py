"""Each driver with the oldest libraries, through the executable, against its simulated cloud."""

from pathlib import Path
from typing import Any

import pytest

from fixtures.clouds.aws.lab import ZONES
from fixtures.clouds.aws.lab import lab as aws
from fixtures.clouds.cloudstack.lab import lab as cloudstack
from fixtures.clouds.google.lab import ZONE
from fixtures.clouds.google.lab import lab as google
from fixtures.clouds.openstack import ControlPlane
from fixtures.clouds.openstack.lab import lab as openstack
from fixtures.clouds.vcloud.lab import lab as vcloud
from fixtures.clouds.vcsim.lab import lab as vsphere
from fixtures.local_cloud import local_config
from tests.installed.installing import Installed

_LABS: dict[str, Any] = {"aws": aws, "cloudstack": cloudstack, "google": google, "vcloud": vcloud, "vsphere": vsphere}
_PROPERTIES = {"aws": {"availability_zone": ZONES[0]}, "google": {"zone": ZONE}}


@pytest.mark.slow
@pytest.mark.parametrize("installed", ["oldest"], indirect=True)
@pytest.mark.parametrize("name", _LABS)
def test_a_disk_is_made_and_deleted(installed: Installed, name: str) -> None:
    """By processes that know nothing of each other."""
    with _LABS[name]() as lab:
        _make_and_delete(installed, lab.config())


@pytest.mark.slow
@pytest.mark.parametrize("installed", ["oldest"], indirect=True)
def test_a_disk_of_openstack_is_made_and_deleted(installed: Installed, openstack_plane: ControlPlane) -> None:
    """As on any other cloud."""
    with openstack(openstack_plane) as lab:
        _make_and_delete(installed, lab.config())


@pytest.mark.parametrize("installed", ["oldest"], indirect=True)
def test_a_local_disk_is_made_and_deleted(installed: Installed, tmp_path: Path) -> None:
    """As on any other cloud."""
    _make_and_delete(installed, local_config(tmp_path))


def _make_and_delete(installed: Installed, config: dict[str, Any]) -> None:
    made = installed.call(config, "create_disk", 1024, _PROPERTIES.get(config["cloud"]["plugin"], {}), None)
    assert made["error"] is None
    assert installed.call(config, "has_disk", made["result"])["result"] is True
    assert installed.call(config, "delete_disk", made["result"])["error"] is None
