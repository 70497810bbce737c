"""Pools, networks and clusters by name or path, and patterns in Ruby's language: one meaning, or a refusal."""

from typing import Any

import pytest
from pyVmomi import vim

import cpi
from cpi.contract import errors
from cpi.contract.model import Network
from cpi.kit.ruby_patterns import PatternRefused, compiled
from cpi_drivers.vsphere.api import paths
from cpi_drivers.vsphere.api.datastores import Choice, Store
from cpi_drivers.vsphere.api.inventory import Inventory, Net
from cpi_drivers.vsphere.settings import ClusterOptions
from fixtures.clouds.vcsim.lab import Lab
from tests.drivers.vsphere.conftest import Helper

_POOLS = {"prod": 1, "prod/bosh": 2, "test/bosh": 3, "a%2fb": 4, "Größe & <co>": 5, "prod/bosh/deep": 6}


@pytest.mark.parametrize(
    ("wished", "meant"),
    [
        ("prod", 1),
        ("prod/bosh", 2),
        ("/prod/bosh/", 2),
        ("/DC0/host/C0/Resources/prod/bosh", 2),
        ("deep", 6),
        ("bosh/deep", 6),
        ("a/b", 4),
        ("a%2Fb", 4),
        ("Größe & <co>", 5),
        ("none", None),
        ("rod/bosh", None),
    ],
)
def test_a_thing_is_meant_by_its_name_or_its_path(wished: str, meant: int | None) -> None:
    """Whole, relative, or from the root on; a name may hold what a path is made of."""
    assert paths.meant(wished, _POOLS, "resource pools") == meant


def test_a_name_that_means_several_is_refused_with_the_candidates() -> None:
    """Each of them can be copied from the message."""
    with pytest.raises(errors.CloudError, match="'bosh' means several resource pools: prod/bosh, test/bosh: say the path of one"):
        paths.meant("bosh", _POOLS, "resource pools")


# ---------------------------------------------------------------------- networks


def _group(name: str, switch: str, segment: str | None = None) -> Net:
    reference = vim.dvs.DistributedVirtualPortgroup(f"{switch}-{name}", None)
    places = (f"F/{name}", f"F/{switch}/{name}")
    return Net(reference, name, switch, switch, name, logical_switch=segment, paths=places)


def _standard(name: str, folder: str) -> Net:
    return Net(vim.Network(f"{folder}-{name}", None), name, paths=(f"{folder}/{name}".lstrip("/"),))


_NETS = Inventory(
    {},
    (),
    (
        _group("web", "dvs-1"),
        _group("db", "dvs-1"),
        _group("db", "dvs-2"),
        _group("seg", "dvs-1", "s-1"),
        _group("seg", "dvs-2", "s-1"),
        _group("VM Network", "dvs-1"),
        _standard("VM Network", ""),
        _standard("lab", "A"),
        _standard("lab", "B"),
    ),
)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("web", "dvs-1-web"),
        ("F/web", "dvs-1-web"),
        ("F/dvs-1/web", "dvs-1-web"),
        ("/DC0/network/F/dvs-1/web", "dvs-1-web"),
        ("dvs-2/db", "dvs-2-db"),
        ("F/dvs-1/db", "dvs-1-db"),
        ("VM Network", "-VM Network"),
        ("B/lab", "B-lab"),
        ("seg", "dvs-1-seg"),
    ],
)
def test_a_network_is_meant_by_its_name_its_switch_or_its_folder(name: str, meant: str) -> None:
    """Standard ones before distributed ones; a segment of NSX is one network, whatever switches it is on."""
    net = _NETS.net(name)
    assert net.reference._moId == meant
    assert [twin.reference._moId for twin in net.twins] == (["dvs-2-seg"] if name == "seg" else [])


@pytest.mark.parametrize(("name", "told"), [("db", "F/dvs-1/db, F/dvs-2/db"), ("lab", "A/lab, B/lab")])
def test_of_two_networks_of_one_name_none_is_chosen(name: str, told: str) -> None:
    """Whichever the vCenter lists first would get the VM."""
    with pytest.raises(errors.CloudError, match=f"'{name}' means several networks: {told}"):
        _NETS.net(name)


# ---------------------------------------------------------------------- in a vCenter


def _pool(above: Any, name: str) -> Any:
    found = next((pool for pool in above.resourcePool if pool.name == name), None)
    shares = vim.SharesInfo(level="normal", shares=4000)
    rooms = vim.ResourceAllocationInfo(reservation=0, expandableReservation=True, limit=-1, shares=shares)
    return found or above.CreateResourcePool(name=name, spec=vim.ResourceConfigSpec(cpuAllocation=rooms, memoryAllocation=rooms))


def test_a_vm_lies_in_the_pool_of_a_path(vcenter: Lab, helper: Helper) -> None:
    """One inside another; the other of its name is not meant."""
    (cluster,) = (one for one in vcenter.all(vim.ClusterComputeResource) if one.name == "DC0_C1")
    wanted = _pool(_pool(cluster.resourcePool, "prod"), "bosh")
    _pool(_pool(cluster.resourcePool, "test"), "bosh")
    vm = helper.vm(datacenters=[{"clusters": [{"DC0_C1": {"resource_pool": "prod/bosh"}}]}])
    assert helper.real(vm.cid).resourcePool == wanted
    with pytest.raises(errors.CloudError, match="'bosh' means several resource pools: prod/bosh, test/bosh"):
        helper.vm(datacenters=[{"clusters": [{"DC0_C1": {"resource_pool": "bosh"}}]}])


def test_a_vm_is_on_the_network_of_a_path(vcenter: Lab, helper: Helper) -> None:
    """Through the switch, from the folder of networks on."""
    switch = vcenter.all(vim.DistributedVirtualSwitch)[0].name
    networks = {"a": Network(ip=vcenter.address(), cloud_properties={"name": f"/DC0/network/{switch}/DC0_DVPG0"})}
    assert [one.name for one in helper.real(helper.vm(networks=networks).cid).network] == ["DC0_DVPG0"]


@pytest.mark.parametrize(
    ("kind", "thin", "eager"), [("preallocated", False, False), ("thin", True, False), ("eagerZeroedThick", False, True)]
)
def test_an_ephemeral_disk_is_of_the_type_that_is_configured(
    vcenter: Lab, helper: Helper, kind: str, *, thin: bool, eager: bool
) -> None:
    """It was thin whatever was said: more was promised than there is."""
    with cpi.connect(vcenter.config(default_disk_type=kind)) as cloud:
        vm = helper.real(helper.vm(cloud=cloud).cid)
    disks = [one for one in vm.config.hardware.device if isinstance(one, vim.vm.device.VirtualDisk)]
    backing = max(disks, key=lambda one: one.unitNumber).backing
    assert (bool(backing.thinProvisioned), bool(backing.eagerlyScrub)) == (thin, eager)


def test_a_vm_type_may_ask_for_a_readable_name(helper: Helper) -> None:
    """Or for none, whatever the configuration says."""
    env = {"bosh": {"groups": ["director", "cf", "db", "cf-db"]}}
    assert helper.vm(env=env, enable_human_readable_name=True).cid.startswith("db_cf_")
    assert helper.vm(env=env, enable_human_readable_name=False).cid.startswith("vm-")


def test_a_host_group_by_its_name_alone_is_where_vms_must_run() -> None:
    """As in the official CPI; an object may say that they should."""
    hosts = [ClusterOptions(host_group="h").hosts, ClusterOptions().hosts]
    assert [one.is_must if one else None for one in hosts] == [True, None]


# ---------------------------------------------------------------------- patterns


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        (r"\Ads-\d+\z", "ds-1", "ds-1x"),
        (r"ds-\h+$", "ds-0aF", "ds-xyz"),
        (r"^[\h-]+$", "0a-F", "0g"),
        (r"^\H$", "g", "a"),
        (r"^(?<n>[ab])\k<n>$", "aa", "ab"),
        (r"^[[:xdigit:]]+$", "0aF", "0g"),
        (r"^(?m:a.b)$", "a b", "ab"),
        (r"^ds\Z", "ds", "dsx"),
        (r"^a++b$", "aab", "aa"),
        (r"^(vsan\ 1|ds\-2)$", "ds-2", "ds2"),
        (r"^\w+$", "ds_1", "dß"),
        (r"^[]a]$", "]", "b"),
        ("größe", "größe-1", "grosse"),
    ],
)
def test_what_ruby_knows_means_the_same_here(pattern: str, fits: str, fits_not: str) -> None:
    """Also where Python writes it in another way."""
    store = Store(vim.Datastore("datastore-1", None), fits, None, 1, reachable=True, usable=True, cluster=None)
    assert Choice(pattern).fits(store)
    assert not compiled(pattern).search(fits_not)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("[[:alpha:]]", "write A-Za-z in its place"),
        ("[[:^digit:]]", "write the characters"),
        (r"\p{Alpha}", "write the characters as a set"),
        (r"(a)\g<1>", "write it out"),
        ("[a-z&&[^b]]", "write one set"),
        ("[a[bc]]", "write one set"),
        ("(?i)größe", "write both cases"),
        (r"[\H]", "write the characters"),
        ("(?u)a", "is not known here"),
        (r"\u{61}", "is no regular expression here"),
        ("(ds", "is no regular expression here"),
    ],
)
def test_what_would_mean_something_else_is_refused(pattern: str, told: str) -> None:
    """With what to write; in the configuration, too."""
    with pytest.raises(PatternRefused, match=told):
        compiled(pattern)
    place = {"name": "d", "clusters": ["c"], "datastore_pattern": pattern, "persistent_datastore_pattern": "."}
    block = {"host": "v", "user": "u", "password": "p", "datacenters": [place]}
    with pytest.raises(errors.CpiError, match=f"datacenters.*datastore_pattern: .*{told}"):
        cpi.connect({"cloud": {"plugin": "vsphere", "properties": {"vcenters": [block]}}})
