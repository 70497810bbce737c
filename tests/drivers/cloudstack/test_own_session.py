"""A director that holds a driver of libcloud hands it over: its endpoint and its keys serve."""

import logging
from pathlib import Path
from typing import Any

import pytest
from libcloud.compute.providers import get_driver
from libcloud.compute.types import Provider

import cpi
from cpi.contract.units import MiB
from fixtures.clouds.cloudstack.lab import Lab
from fixtures.clouds.cloudstack.seed import KEYS
from tests.drivers.cloudstack.conftest import Helper

((API_KEY, SECRET),) = KEYS.items()


def without_login(cloudstack: Lab, folder: Path) -> dict[str, Any]:
    """A configuration without endpoint and keys."""
    config = cloudstack.config(cache_folder=str(folder))
    block = config["cloud"]["properties"]["cloudstack"]
    for key in ("endpoint", "api_key", "secret_access_key"):
        del block[key]
    return config


def libclouds(cloudstack: Lab, secret: str = SECRET) -> Any:
    """What a director holds."""
    host, _, port = cloudstack.proxy.url.removeprefix("http://").partition(":")
    return get_driver(Provider.CLOUDSTACK)(API_KEY, secret, secure=False, host=host, port=int(port), path="/client/api")


def test_a_vm_with_a_disk_by_the_callers_driver(
    cloudstack: Lab, helper: Helper, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of the login is in the configuration; no log shows the secret; libcloud's driver is usable afterwards."""
    session = libclouds(cloudstack)
    with caplog.at_level(logging.DEBUG), cpi.connect(without_login(cloudstack, tmp_path), session=session) as cloud:
        vm_cid = helper.passing_vm(cloud, "token-1")
        disk_cid = cloud.create_disk(MiB(1024), {}, vm_cid)
        cloud.attach_disk(vm_cid, disk_cid)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]
        cloud.detach_disk(vm_cid, disk_cid)
        cloud.delete_vm(vm_cid)
        cloud.delete_disk(disk_cid)
    assert SECRET not in caplog.text
    assert session.list_locations()
    session.connection.connection.session.close()


def test_the_keys_of_the_configuration_are_left_alone(cloudstack: Lab, tmp_path: Path) -> None:
    """The session's take their place, also where they are wrong."""
    session = libclouds(cloudstack, secret="not-the-secret")  # noqa: S106 - wrong on purpose
    config = cloudstack.config(cache_folder=str(tmp_path))
    with cpi.connect(config, session=session) as cloud, pytest.raises(cpi.Error) as caught:
        cloud.has_vm(cpi.VmCid("nothing"))
    assert "not-the-secret" not in caught.value.message
