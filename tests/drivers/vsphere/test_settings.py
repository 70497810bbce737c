"""The configuration: every fault in one message, nothing asked of the vCenter."""

from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi_drivers.vsphere import settings
from cpi_drivers.vsphere.api import connection


def _block(**own: Any) -> dict[str, Any]:
    place = {"name": "DC0", "clusters": ["c"], "datastore_pattern": ".", "persistent_datastore_pattern": "."}
    return {"host": "vcenter", "user": "u", "password": "secret-of-the-vcenter", "datacenters": [place], **own}


def _connect(*blocks: Any) -> None:
    cpi.connect({"cloud": {"plugin": "vsphere", "properties": {"vcenters": list(blocks)}}}).close()


def test_every_fault_is_told_at_once() -> None:
    """Each with its path; the password is not."""
    place = {"name": "DC0", "clusters": [], "datastore_pattern": "("}
    wrong = _block(datacenters=[place], default_disk_type="wide", nsxt={"host": "h"}, nsx={"user": "u"}, hosts="x")
    with pytest.raises(errors.CpiError) as caught:
        _connect(wrong)
    for told in ("clusters", "'('", "persistent_datastore_pattern: is missing", "did you mean 'host'?"):
        assert told in caught.value.message
    with pytest.raises(errors.CpiError) as caught:
        _connect(_block(default_disk_type="wide", nsx={"user": "u"}))
    for told in ("vcenters[0]", "default_disk_type", "NSX-V"):
        assert told in caught.value.message
    assert "secret-of-the-vcenter" not in caught.value.message


def test_there_must_be_a_vcenter() -> None:
    """A list of none is a fault, and so is what is no list."""
    wrongs: list[Any] = [[], {"host": "h"}, None]
    for wrong in wrongs:
        with pytest.raises(errors.CpiError, match="vcenters"):
            cpi.connect({"cloud": {"plugin": "vsphere", "properties": {"vcenters": wrong}}})


def test_clusters_are_names_or_objects() -> None:
    """As in the official CPI's configuration."""
    read = settings.clusters_by_name(("a", {"b": settings.ClusterOptions(resource_pool="p")}))
    assert {name: options.resource_pool for name, options in read.items()} == {"a": None, "b": "p"}


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("vcenter.example", "https://vcenter.example:443"),
        ("10.0.0.1:8443", "https://10.0.0.1:8443"),
        ("http://127.0.0.1:8989", "http://127.0.0.1:8989"),
        ("[fd00::1]", "https://[fd00::1]:443"),
    ],
)
def test_a_host_is_a_name_or_a_url(host: str, url: str) -> None:
    """TLS unless the URL says otherwise."""
    assert connection.address(host, "host").url == url


def test_a_certificate_that_is_none_is_told() -> None:
    """When connecting, not at the first call."""
    with pytest.raises(errors.CpiError, match="ca_cert"):
        _connect(_block(connection_options={"ca_cert": "no certificate"}))


def test_keys_of_the_official_cpi_that_mean_nothing_are_passed_over() -> None:
    """An operator leaves the configuration as it is."""
    _connect(_block(http_logging=True, plugins={}))
