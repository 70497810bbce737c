"""The block nsxt, in the configuration and in VM types: every fault in one message, nothing asked of NSX."""

from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.kit.settings import read_cloud_properties
from cpi_drivers.vsphere.nsxt_settings import ManagedNetwork
from cpi_drivers.vsphere.properties import VmProperties
from fixtures.certificates import Authority

_GOOD = {"host": "nsx", "username": "u", "password": "secret-of-the-nsx", "use_policy_api": True}
_VM = {"cpu": 1, "ram": 1, "disk": 1}


def _connect(nsxt: Any, folder: Path) -> None:
    place = {"name": "DC0", "clusters": ["c"], "datastore_pattern": ".", "persistent_datastore_pattern": "."}
    block = {"host": "v", "user": "u", "password": "p", "datacenters": [place], "nsxt": nsxt, "cache_folder": str(folder)}
    cpi.connect({"cloud": {"plugin": "vsphere", "properties": {"vcenters": [block]}}}).close()


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"policy_api_migration_mode": True}, "policy_api_migration_mode: is not supported"),
        ({"password": None}, "username and password: are missing"),
        ({"auth_certificate": "x"}, "auth_certificate and auth_private_key: expected both"),
        ({"default_vif_type": "CHILD"}, "default_vif_type"),
        ({"user": "u"}, "did you mean 'username'"),
        ({"host": "ftp://nsx"}, "nsxt.host: expected a name"),
        ({"host": "nsx:none"}, "is no address"),
        ({"ca_cert": "none"}, "nsxt.ca_cert: is no certificate"),
        ({"auth_certificate": "x", "auth_private_key": "y"}, "are no certificate and its key"),
        ({"realization_timeout": 0}, "realization_timeout"),
    ],
)
def test_each_fault_is_told_when_connecting(own: dict[str, Any], told: str, tmp_path: Path) -> None:
    """With its key, and without the password."""
    with pytest.raises(errors.CpiError) as caught:
        _connect({**_GOOD, **own}, tmp_path)
    assert told in caught.value.message
    assert "secret-of-the-nsx" not in caught.value.message


def test_every_key_of_the_official_cpi_is_taken(tmp_path: Path) -> None:
    """An operator leaves the configuration as it is; the official job renders use_policy_api: false by default."""
    pair = Authority().signed("principal")
    certificate = {"auth_certificate": pair.certificate, "auth_private_key": pair.private_key}
    switches = {"remote_auth": False, "policy_api_migration_mode": False, "allow_overwrite": True, "tag_nsx_vm_objects": True}
    _connect({**_GOOD, **certificate, **switches, "ca_cert": pair.certificate, "default_vif_type": "PARENT"}, tmp_path)
    _connect({"host": "nsx", "use_policy_api": True, **certificate}, tmp_path)
    _connect({**_GOOD, "use_policy_api": False}, tmp_path)


@pytest.mark.parametrize(
    ("nsxt", "told"),
    [
        ({"ns_groups": "web"}, "nsxt.ns_groups"),
        ({"vif_type": "CHILD"}, "nsxt.vif_type"),
        ({"lb": {"server_pools": [{"port": 80}]}}, "server_pools[0].name: is missing"),
        ({"lb": {"server_pools": [{"name": "p", "port": 0}]}}, "server_pools[0].port"),
        ({"lb": {"pools": []}}, "lb.pools: unknown key"),
    ],
)
def test_each_fault_of_a_vm_type_is_told(nsxt: dict[str, Any], told: str) -> None:
    """With its path."""
    with pytest.raises(errors.CpiError) as caught:
        read_cloud_properties(VmProperties, {**_VM, "nsxt": nsxt}, strict=True)
    assert told in caught.value.message


def test_nsx_v_is_refused_for_good() -> None:
    """In a VM type; a VM without its groups would not be protected."""
    with pytest.raises(errors.CpiError, match="NSX-V has come to its end"):
        read_cloud_properties(VmProperties, {**_VM, "nsx": {"security_groups": ["g"]}})


def test_a_managed_network_names_its_gateway_and_zone() -> None:
    """Each that is missing is told."""
    with pytest.raises(errors.CpiError, match=r"t0_router_id: is missing\n.*transport_zone_id: is missing"):
        read_cloud_properties(ManagedNetwork, {"switch_name": "s"})
