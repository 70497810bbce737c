"""What operators already have is taken: whole configurations, null keys anywhere, and contexts with keys of tomorrow."""

import json
import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

import cpi
from cpi import registry
from cpi.config import Block, cloud_config, plugin_of, read_document
from cpi.contract.model import CallContext
from cpi.kit import deadline
from cpi.kit.settings import read_cloud_properties

DOCUMENTS: Final = sorted((Path(__file__).parents[2] / "fixtures/documents").glob("*.json"))

BLOCKS: Final[dict[str, dict[str, Any]]] = {
    "aws": {"region": "eu", "access_key_id": "k", "secret_access_key": "s"},
    "cloudstack": {"endpoint": "https://c.example/client/api", "api_key": "k", "secret_access_key": "s", "default_zone": "z"},
    "google": {"project": "p"},
    "local": {"root": "/nowhere/multicpi"},
    "openstack": {
        "auth_url": "https://k.example/v3",
        "username": "u",
        "api_key": "p",
        "project": "p",
        "domain": "d",
    },
    "vcloud": {
        "url": "https://v.example",
        "user": "u",
        "password": "p",
        "entities": {"organization": "o", "virtual_datacenter": "v", "vapp_catalog": "c", "media_catalog": "c"},
    },
    "vsphere": {
        "host": "v.example",
        "user": "u",
        "password": "p",
        "datacenters": [
            {"name": "d", "clusters": ["c"], "datastore_pattern": "a", "persistent_datastore_pattern": "b"},
        ],
    },
}
"""What each driver needs at least."""

KEYS: Final = {"vsphere": "vcenters", "vcloud": "vcd"}
"""What the blocks are called that are not called as their driver."""

KINDS: Final = {
    "aws": "AwsSettings",
    "cloudstack": "CloudStackSettings",
    "google": "GoogleSettings",
    "local": "LocalSettings",
    "openstack": "OpenStackSettings",
    "vcloud": "VcloudSettings",
    "vsphere": "VCenter",
}

NEEDED: Final[dict[str, dict[str, Any]]] = {
    **{f"{driver}.{kind}": BLOCKS[driver] for driver, kind in KINDS.items()},
    "aws.Route": {"table_id": "t", "destination": "10.0.0.0/8"},
    "cloudstack.LoadBalancerRule": {"name": "r", "public_ip": "a", "private_port": 1, "public_port": 1},
    "cloudstack.Route": {"cidr": "c", "gateway": "g"},
    "cloudstack.VmProperties": {"compute_offering": "o"},
    "google.Accelerator": {"type": "t"},
    "google.BackendService": {"name": "n"},
    "openstack.Pool": {"name": "p", "port": 1},
    "openstack.RootDisk": {"size": 1},
    "openstack.VmProperties": {"instance_type": "t"},
    "vcloud.NetworkProperties": {"name": "n"},
    "vcloud.VmProperties": {"cpu": 1, "ram": 1},
    "vsphere.Block": {"vcenters": [BLOCKS["vsphere"]]},
    "vsphere.DatastoreClusters": {"clusters": ["c"]},
    "vsphere.DrsRule": {"name": "r", "type": "separate_vms"},
    "vsphere.HostGroup": {"name": "h"},
    "vsphere.ManagedNetwork": {"t0_router_id": "t", "transport_zone_id": "z"},
    "vsphere.NetworkProperties": {"name": "n"},
    "vsphere.PciDevice": {"vendor_id": 1, "device_id": 1},
    "vsphere.Place": {"name": "d"},
    "vsphere.ServerPool": {"name": "p"},
    "vsphere.StoragePolicy": {"name": "p"},
    "vsphere.Tag": {"category": "c", "tag": "t"},
    "vsphere.VmProperties": {"cpu": 1, "ram": 1, "disk": 1},
    "vcloud.Entities": BLOCKS["vcloud"]["entities"],
    "vsphere.Datacenter": BLOCKS["vsphere"]["datacenters"][0],
    "vsphere.Nsxt": {"host": "n", "username": "u", "password": "p", "use_policy_api": True},
}
"""What each object needs at least; those that need nothing are not here."""

KNOWN: Final = {
    "aws": "max_retries",
    "cloudstack": "connect_timeout",
    "google": "max_retries",
    "local": "disk_backing",
    "openstack": "state_timeout",
    "vcloud": "control",
    "vsphere": "default_disk_type",
}
"""A key of each driver's that is no list."""

MODULES: Final = (
    *(f"cpi_drivers.{name}.properties" for name in ("aws", "cloudstack", "google", "openstack", "vcloud", "vsphere")),
    *(f"cpi_drivers.{name}.settings" for name in BLOCKS),
    "cpi_drivers.openstack.api.connection",
    "cpi_drivers.vsphere.nsxt_settings",
)

MEANS_SOMETHING: Final = {("VCenter", "default_hw_version"), ("VmNsxt", "vif_type")}
"""Keys whose null is documented as something other than their absence."""


def kinds() -> list[type[msgspec.Struct]]:
    """Every object of which a configuration or a manifest may speak."""
    found = {
        kind
        for module in MODULES
        for kind in vars(import_module(module)).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__.startswith("cpi_drivers.")
    }
    return sorted(found, key=lambda kind: (kind.__module__, kind.__name__))


def connect(driver: str, properties: dict[str, Any], **around: Any) -> None:
    """With a call's context of these properties, and a configuration that has what is needed."""
    connected(driver, properties, **around).close()


def connected(driver: str, properties: dict[str, Any], **around: Any) -> cpi.Cloud:
    """The same, to go on with."""
    key = KEYS.get(driver, driver)
    block = [BLOCKS[driver]] if driver == "vsphere" else BLOCKS[driver]
    document = {"cloud": {"plugin": driver, "properties": {key: block, **around}}}
    return cpi.connect(document, CallContext(properties=properties))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_a_configuration_of_the_official_job_is_taken_as_it_is(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By the driver that it names, and without a word."""
    with caplog.at_level(logging.WARNING):
        cloud = cpi.connect(path)
    assert cloud.name == read_document(path)["cloud"]["plugin"]
    assert cloud.name in path.stem
    assert caplog.messages == []
    cloud.close()


def block_of(name: str, context: CallContext | None = None, **changed: Any) -> Any:
    """What the driver reads of one of the documents."""
    document: dict[str, Any] = json.loads((DOCUMENTS[0].parent / f"{name}.json").read_text(encoding="utf-8"))
    document.get("cloud", {}).get("properties", {}).update(changed)
    plugin = plugin_of(read_document(document))
    cloud = registry.load(plugin)
    block = Block(cloud.block or cloud.name, cloud.other_blocks, cloud.beside_block)
    return import_module(f"cpi_drivers.{plugin}.settings").read(cloud_config(read_document(document), block, context))


def test_the_document_of_the_cloudstack_cpi_in_go_means_the_same_as_ours() -> None:
    """Its words are in CamelCase, and the agent's are under `Actions`."""
    read = block_of("cloudstack_go")
    assert (read.api_key, read.secret_access_key.reveal(), read.default_zone) == ("key-1", "word-1", "zone-1")
    assert (read.default_offer.disk, read.default_offer.custom_disk) == (None, "shared.custom")
    assert (read.seconds("attach_volume"), read.seconds("create_vm"), read.is_public) == (36000, 1800, True)
    document = read_document(json.loads((DOCUMENTS[0].parent / "cloudstack_go.json").read_text(encoding="utf-8")))
    agent = cloud_config(document, "cloudstack").agent
    assert (agent.mbus, agent.ntp) == ("nats://10.0.0.6:4222", ("0.pool.ntp.org",))
    assert agent.blobstore is not None
    assert agent.blobstore["options"]["endpoint"] == "http://10.0.0.6:25250"


def test_the_words_of_the_cloudstack_cpi_in_java_are_heeded() -> None:
    """Those that mean something."""
    read = block_of("cloudstack_java")
    assert (read.seconds("create_vm"), read.is_public, read.proxy_url, read.expunges) == (900, True, None, True)


def test_the_list_of_the_vcloud_cpi_is_its_block() -> None:
    """The context lies over it; a second entry is refused, not left out."""
    read = block_of("vcloud", CallContext(properties={"user": "other"}))
    assert (read.user, read.patience.wait_max, read.entities.vapp_storage_profile) == ("other", 900, "*")
    with pytest.raises(cpi.CpiError, match=r"vcds: expected one entry, got 2"):
        block_of("vcloud", vcds=[{}, {}])


def test_the_go_cpi_for_openstack_has_its_repeating_beside_the_block() -> None:
    """And a blank config drive is none."""
    read = block_of("openstack_go")
    assert (read.repeating("create_vm").max_attempts, read.repeating("delete_vm").max_attempts) == (3, 7)
    assert read.config_drive is None


def test_what_nobody_set_on_vsphere_is_absent() -> None:
    """Blank certificates, empty pools and host groups."""
    (read,) = block_of("vsphere_blanks")
    (datacenter,) = read.datacenters
    clusters = import_module("cpi_drivers.vsphere.settings").clusters_by_name(datacenter.clusters)
    assert {name: (one.resource_pool, one.hosts) for name, one in clusters.items()} == {
        "cluster-1": (None, None),
        "cluster-2": (None, None),
    }
    assert (read.connection_options.ca_cert, dict(read.vmx_options), read.nsxt.ca_cert) == (None, {}, None)
    assert not datacenter.has_sub_folders


def test_a_cpi_config_may_say_all_of_a_vcenter() -> None:
    """The configuration has an empty list, as a director with a cpi-config alone has; with nothing over it, it is refused."""
    nothing: tuple[Any, ...] = ([], None)
    for empty in nothing:
        (read,) = block_of("vsphere", CallContext(properties=BLOCKS["vsphere"]), vcenters=empty)
        assert read.host == "v.example"
    with pytest.raises(cpi.CpiError, match="vcenters: expected"):
        block_of("vsphere", vcenters=[])


@pytest.mark.parametrize("said", [{"vm_group": ""}, {"vm_group": " \n"}, {"storage_policy": {}}, {"tags": None}])
def test_nothing_that_is_rendered_is_as_good_as_absent(said: dict[str, Any]) -> None:
    """Where null may be said: blank texts, and empty objects that would need keys."""
    kind = import_module("cpi_drivers.vsphere.properties").VmProperties
    needed = NEEDED["vsphere.VmProperties"]
    assert read_cloud_properties(kind, {**needed, **said}) == read_cloud_properties(kind, needed)


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_null_of_every_optional_key_is_absent(kind: type[msgspec.Struct]) -> None:
    """On every driver, in settings and in cloud properties."""
    needed = NEEDED.get(f"{kind.__module__.split('.')[1]}.{kind.__name__}", {})
    nothing = {
        field.encode_name: None
        for field in msgspec.structs.fields(kind)
        if field.encode_name not in needed and (kind.__name__, field.encode_name) not in MEANS_SOMETHING
    }
    assert read_cloud_properties(kind, {**nothing, **needed}) == read_cloud_properties(kind, needed)


@pytest.mark.parametrize("driver", sorted(BLOCKS))
def test_null_of_every_optional_key_of_the_block_is_absent(driver: str) -> None:
    """In the context that lies over it, too; and so is what stands around the block."""
    fields = msgspec.structs.fields(getattr(import_module(f"cpi_drivers.{driver}.settings"), KINDS[driver]))
    nothing = {field.encode_name: None for field in fields if field.encode_name not in BLOCKS[driver]}
    assert nothing
    connect(driver, nothing, agent=None, ntp=None, blobstore=None, strict_properties=None)
    connect(driver, nothing, agent={"mbus": None, "ntp": None, "blobstore": None})


@pytest.mark.parametrize("driver", sorted(BLOCKS))
def test_null_of_a_required_key_is_named_in_full(driver: str) -> None:
    """Even where it came with the context."""
    key = next(iter(BLOCKS[driver]))
    where = {"vsphere": "vcenters[0]"}.get(driver, KEYS.get(driver, driver))
    with pytest.raises(cpi.CpiError) as caught:
        connect(driver, {key: None})
    assert f"cloud.properties.{where}.{key}: is missing" in caught.value.message


@pytest.mark.parametrize("driver", sorted(BLOCKS))
def test_a_key_of_a_context_that_no_driver_knows_is_logged(driver: str, caplog: pytest.LogCaptureFixture) -> None:
    """A director of tomorrow may send it with every call; what the driver knows is still checked, as is the configuration."""
    with caplog.at_level(logging.WARNING):
        connect(driver, {"quux": {"a": 1}})
    assert caplog.messages == ["context.quux: unknown key, ignored"]
    with pytest.raises(cpi.CpiError, match=KNOWN[driver]):
        connect(driver, {"quux": 1, KNOWN[driver]: [1]})


@pytest.mark.parametrize("driver", sorted(BLOCKS))
def test_a_key_of_the_configuration_that_no_driver_knows_is_still_refused(driver: str) -> None:
    """Whether or not the context says it too."""
    block: Any = {**BLOCKS[driver], "colour": "red"}
    document = {"cloud": {"plugin": driver, "properties": {KEYS.get(driver, driver): [block] if driver == "vsphere" else block}}}
    with pytest.raises(cpi.CpiError, match=r"cloud\.properties\.\S+\.colour: unknown key"):
        cpi.connect(document, CallContext(properties={"colour": "blue"}))


# ---------------------------------------------------------------------- strict_properties


def _unknown(cloud: cpi.Cloud, call: Callable[[cpi.Cloud], object]) -> list[str]:
    with cloud, pytest.raises(cpi.CpiError) as caught:
        call(cloud)
    return [line.strip() for line in caught.value.message.splitlines() if "unknown key" in line]


@pytest.mark.parametrize("driver", sorted(BLOCKS))
def test_strict_properties_know_the_name_that_the_director_gives_a_disk(driver: str, tmp_path: Path) -> None:
    """And refuse what no director says."""
    wish = {"name": "disk-1", "colour": "red"}
    cloud = connected(driver, {"root": str(tmp_path)} if driver == "local" else {}, strict_properties=True)
    assert _unknown(cloud, lambda cloud: cloud.create_disk(cpi.MiB(1024), wish)) == ["cloud_properties.colour: unknown key"]


@pytest.mark.parametrize("driver", sorted(BLOCKS.keys() - {"local", "vsphere"}))  # these two read nothing of a stemcell's
def test_strict_properties_know_what_a_stemcell_says_of_itself(driver: str, tmp_path: Path) -> None:
    """Whichever cloud it was built for."""
    image = tmp_path / "image"
    image.touch()
    usual = {
        "name": "bosh-stemcell",
        "version": "1.1",
        "infrastructure": driver,
        "hypervisor": "kvm",
        "disk": 5120,
        "disk_format": "raw",
        "container_format": "bare",
        "os_type": "linux",
        "os_distro": "ubuntu",
        "architecture": "x86_64",
        "root_device_name": "/dev/sda1",
        "boot_mode": "uefi-preferred",
        "auto_disk_config": True,
    }
    cloud = connected(driver, {}, strict_properties=True)
    assert _unknown(cloud, lambda cloud: cloud.create_stemcell(str(image), {**usual, "colour": "red"}, {})) == [
        "cloud_properties.colour: unknown key"
    ]


_LONGEST: Final[dict[str, tuple[dict[str, Any], float]]] = {
    "openstack": ({"state_timeout": 100}, 200),
    "vcloud": ({"control": {"wait_max": 100}}, 200),
    "vsphere": ({"task_timeout": 100}, 200),
    "cloudstack": ({"timeout": {"global": 50, "stop_vm": 1, "detach_volume": 2, "delete_vm": 3, "attach_volume": 36000}}, 56),
}


@pytest.mark.parametrize("driver", _LONGEST)
@pytest.mark.parametrize("told", [None, 77])
def test_each_call_has_one_deadline(driver: str, told: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default as long as what it waits for may take, and as much for all the rest."""
    patience, usual = _LONGEST[driver]
    context = {**patience, "call_timeout": told}
    cloud = connected(driver, context)
    seen: list[deadline.Deadline | None] = []
    monkeypatch.setattr(vars(cloud)["_vms"], "delete", lambda _cid: seen.append(deadline.current()))
    cloud.delete_vm(cpi.VmCid("vm-1"))
    assert [one.seconds for one in seen if one] == [told or usual]
    assert deadline.current() is None
    cloud.close()
