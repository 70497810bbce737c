"""Whatever the official jobs of OpenStack, vSphere, CloudStack and vCloud can render is taken, and what a cloud-config says.

Each key may be absent, null, empty where that means the default, its default, or a value; scalars with quotes or without.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cpi
from cpi.contract import errors
from cpi.kit.settings import DISK_KEYS, STEMCELL_KEYS, read_cloud_properties
from cpi_drivers.cloudstack import properties as cloudstack
from cpi_drivers.openstack import properties as openstack
from cpi_drivers.vcloud import properties as vcloud
from cpi_drivers.vsphere import properties as vsphere
from tests.unit.rendered import FLAG, LIST, NUMBER, TEXT, Kind, rendered

_AGENT: Final = rendered(
    {
        "mbus": st.just("nats://10.0.0.6:4222"),
        "ntp": st.sampled_from([[], ["0.pool.ntp.org"]]),
        "blobstore": st.just({"provider": "dav", "options": {"endpoint": "http://10.0.0.6:25250"}}),
    },
    always=("mbus",),
)
_REGISTRY: Final = rendered({"endpoint": TEXT, "user": TEXT, "password": TEXT, "host": TEXT, "port": NUMBER})
_PEM: Final = st.just("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----")
_REPEATING: Final = rendered({"max_attempts": NUMBER, "sleep_duration": NUMBER})

_OPENSTACK: Final = rendered(
    {
        "auth_url": st.sampled_from(["https://k.example/v3", "https://k.example:5000", "https://k.example/v3/auth/tokens"]),
        "username": TEXT,
        "api_key": st.just("word-1"),
        "application_credential_id": TEXT,
        "application_credential_secret": st.just("word-2"),
        "tenant": TEXT,
        "project": TEXT,
        "project_id": TEXT,
        "domain": TEXT,
        "user_domain_name": TEXT,
        "project_domain_name": TEXT,
        "region": TEXT,
        "endpoint_type": st.sampled_from(["publicURL", "internalURL", "adminURL"]),
        "state_timeout": NUMBER,
        "wait_resource_poll_interval": NUMBER,
        "boot_from_volume": FLAG,
        "config_drive": st.sampled_from(["cdrom", "disk"]),
        "use_dhcp": FLAG,
        "default_key_name": TEXT,
        "default_security_groups": LIST,
        "default_volume_type": TEXT,
        "stemcell_public_visibility": FLAG,
        "ignore_server_availability_zone": FLAG,
        "human_readable_vm_names": FLAG,
        "use_nova_networking": st.sampled_from([False, "false"]),
        "connection_options": rendered({"ca_cert": st.sampled_from(["\n"]), "ssl_verify_peer": FLAG, "persistent": FLAG}),
        "retry_config": st.fixed_dictionaries({"default": _REPEATING, "create_vm": _REPEATING}),
    },
    always=("auth_url",),
)
_DATACENTER: Final = rendered(
    {
        "name": TEXT,
        "vm_folder": st.sampled_from(["VMs", "a/b", 7]),
        "template_folder": TEXT,
        "disk_path": TEXT,
        "allow_mixed_datastores": FLAG,
        "use_sub_folder": FLAG,
        "clusters": st.sampled_from(
            [
                ["c"],
                [{"c": {}}],
                [{"c": None}],
                [{"c": {"resource_pool": "a/b"}}, "d"],
                [{"c": {"resource_pool": None, "host_group": "h", "drs_rules": None}}],
                [{"c": {"host_group": {"name": "h", "drs_rule": "MUST"}, "drs_rules": [{"name": "r", "type": "separate_vms"}]}}],
            ]
        ),
        "datastore_pattern": st.sampled_from([r"\Ads.*\z", "^ds$"]),
        "persistent_datastore_pattern": st.just("(?<x>ds).*"),
        "datastore_cluster_pattern": TEXT,
        "persistent_datastore_cluster_pattern": TEXT,
    },
    always=("name", "clusters", "datastore_pattern", "persistent_datastore_pattern"),
)
_NSXT: Final = rendered(
    {
        "host": st.just("nsx.example"),
        "username": TEXT,
        "password": st.just("word-1"),
        "remote_auth": FLAG,
        "default_vif_type": st.just("PARENT"),
        "use_policy_api": FLAG,
        "policy_api_migration_mode": st.sampled_from([False, "false"]),
        "allow_overwrite": FLAG,
        "tag_nsx_vm_objects": FLAG,
    },
    always=("host", "username", "password"),
)
_VCENTER: Final = rendered(
    {
        "host": TEXT.map(str),
        "user": TEXT,
        "password": st.just("word-1"),
        "datacenters": st.lists(_DATACENTER, min_size=1, max_size=1),
        "connection_options": rendered({"ca_cert": st.sampled_from(["\n", "insecure"])}),
        "http_logging": FLAG,
        "default_disk_type": st.sampled_from(["preallocated", "thin"]),
        "default_scsi_controller_type": st.sampled_from(["paravirtual", "lsi_logic"]),
        "enable_auto_anti_affinity_drs_rules": FLAG,
        "cpu_reserve_full_mhz": FLAG,
        "memory_reservation_locked_to_max": FLAG,
        "upgrade_hw_version": FLAG,
        "default_hw_version": NUMBER,
        "vm_storage_policy_name": TEXT,
        "enable_human_readable_name": FLAG,
        "ensure_no_ip_conflicts": FLAG,
        "vmx_options": st.sampled_from([{}, {"disk.enableUUID": "1", "x": 1, "y": True}]),
        "nsxt": _NSXT,
    },
    always=("host", "user", "password", "datacenters"),
)
_GO_TIMEOUTS: Final = (
    "Global RebootVm StopVm CreateVm DeleteVm CreateVolume DeleteVolume ResizeVolume PollTemplate DetachVolume SnapshotVolume "
    "DeleteSnapshotVolume AttachVolume"
)
_GO: Final = rendered(
    {
        "Endpoint": st.just("https://c.example/client/api"),
        "ApiKey": TEXT,
        "SecretAccessKey": st.just("word-1"),
        "SkipVerifySSL": FLAG,
        "DefaultZone": TEXT,
        "DefaultKeyName": TEXT,
        "PrivateKey": TEXT,
        "DefaultOffer": rendered(dict.fromkeys(("Disk", "EphemeralDisk", "CustomDisk"), TEXT)),
        "Timeout": rendered(dict.fromkeys(_GO_TIMEOUTS.split(), NUMBER)),
        "ExpungeVm": FLAG,
        "EnableAutoAntiAffinity": FLAG,
        "AutoAntiAffinityType": TEXT,
        "CalculateCloudProp": rendered(dict.fromkeys(("DiskTags", "NotDiskTags", "ServiceTags", "NotServiceTags"), LIST)),
        "Stemcell": rendered({"PublicVisibility": FLAG, "RequiresHvm": FLAG, "OsType": TEXT}),
        "DirectorName": TEXT,
        "IntervalCleanDisk": NUMBER,
    },
    always=("Endpoint", "ApiKey", "SecretAccessKey", "DefaultZone"),
)
_JAVA: Final = rendered(
    {
        "endpoint": st.just("https://c.example/client/api"),
        "api_key": TEXT,
        "secret_access_key": st.just("word-1"),
        "default_zone": TEXT,
        "default_key_name": TEXT,
        "private_key": TEXT,
        "state_timeout": NUMBER,
        "stemcell_public_visibility": FLAG,
        "use_dhcp": FLAG,
        "force_expunge": FLAG,
        "vm_create_delay": NUMBER,
        "vm_expunge_delay": NUMBER,
        "proxy_host": TEXT,
        "proxy_port": NUMBER,
        "proxy_user": TEXT,
        "proxy_password": st.just("word-2"),
    },
    always=("endpoint", "api_key", "secret_access_key", "default_zone"),
)
_CONTROL: Final = rendered(dict.fromkeys(("wait_max", "wait_delay", "retry_max", "retry_delay", "cookie_timeout"), NUMBER))
_ENTITIES: Final = rendered(
    {
        **dict.fromkeys(("organization", "virtual_datacenter", "vapp_catalog", "media_catalog"), TEXT),
        "vapp_storage_profile": st.sampled_from(["*", "gold"]),
        "media_storage_profile": st.sampled_from(["*", "gold"]),
        "vm_metadata_key": TEXT,
        "description": TEXT,
        "control": _CONTROL,
    },
    always=("organization", "virtual_datacenter", "vapp_catalog", "media_catalog"),
)
_VCD: Final = rendered(
    {
        "url": st.just("https://v.example"),
        "user": TEXT,
        "password": st.just("word-1"),
        "entities": _ENTITIES,
        "control": _CONTROL,
    },
    always=("url", "user", "password", "entities"),
)


def _of(plugin: str, key: str) -> Callable[[Any, Any, Any], dict[str, Any]]:
    def document(block: Any, agent: Any, registry: Any) -> dict[str, Any]:
        return {"cloud": {"plugin": plugin, "properties": {key: block, "agent": agent, "registry": registry}}}

    return document


def _of_go(block: Any, agent: Any, registry: Any) -> dict[str, Any]:
    capitals = {"mbus": "Mbus", "ntp": "NTP", "blobstore": "Blobstore"}
    told = {capitals[key]: value for key, value in agent.items()}
    return {"CloudStack": block, "Actions": {"Agent": told, "Registry": registry}}


_DOCUMENTS: Final[dict[str, st.SearchStrategy[dict[str, Any]]]] = {
    name: st.builds(wrapped, block, _AGENT, _REGISTRY)
    for name, (wrapped, block) in {
        "openstack": (_of("openstack", "openstack"), _OPENSTACK),
        "vsphere": (_of("vsphere", "vcenters"), st.lists(_VCENTER, min_size=1, max_size=1)),
        "cloudstack, Go": (_of_go, _GO),
        "cloudstack, Java": (_of("cloudstack", "cloudstack"), _JAVA),
        "vcloud": (_of("vcloud", "vcds"), st.lists(_VCD, min_size=1, max_size=1)),
    }.items()
}
# Why the pages say that a document is refused.
_REASONS: Final = (
    "expected username and api_key, or application_credential_id and application_credential_secret: one of the two",
    "project: is missing (or project_id, or tenant)",
    "domain: is missing (or user_domain_name)",
)
_often = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.parametrize("name", _DOCUMENTS)
def test_every_document_of_an_official_job_is_taken_or_refused_for_a_told_reason(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a warning."""

    @_often
    @given(document=_DOCUMENTS[name])
    def taken(document: dict[str, Any]) -> None:
        caplog.clear()
        try:
            cpi.connect(document).close()
        except errors.CpiError as error:
            faults = [fault for line in error.message.splitlines()[1:] for fault in line.partition(": ")[2].split("; ")]
            assert faults
            assert [fault for fault in faults if fault not in _REASONS] == []
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []

    taken()


_PLACES: Final = st.sampled_from(
    [[{"clusters": [{"c": {}}]}], [{"name": "dc", "clusters": [{"c": {"resource_pool": "p"}}]}], [{"clusters": ["c"]}]]
)
_DATASTORES: Final = st.sampled_from([["ds"], [{"clusters": [{"gold": {}}]}], ["ds", {"clusters": ["gold"]}]])
_OF_MANIFEST: Final = {"disk": NUMBER, "hypervisor": TEXT, "os_type": TEXT, "root_device_name": TEXT, "version": TEXT}
_NOTHING: Final[frozenset[str]] = frozenset()
_VSPHERE_FLAGS: Final = (
    "cpu_hot_add_enabled memory_hot_add_enabled cpu_reserve_full_mhz memory_reservation_locked_to_max upgrade_hw_version "
    "nested_hardware_virtualization disable_drs enable_human_readable_name"
)
_IMAGE_KEYS: Final = "os_distro architecture hw_vif_model hw_disk_bus hw_scsi_model vmware_adaptertype vmware_ostype"
_KINDS: Final[dict[str, tuple[type[msgspec.Struct], frozenset[str], dict[str, Kind], tuple[str, ...]]]] = {
    "VM of OpenStack": (
        openstack.VmProperties,
        _NOTHING,
        {
            "instance_type": TEXT,
            "availability_zone": TEXT,
            "security_groups": LIST,
            "key_name": TEXT,
            "scheduler_hints": st.just({"group": "g", "different_host": ["a"]}),
            "root_disk": st.sampled_from([{"size": 10}, {"size": "10"}]),
            "boot_from_volume": FLAG,
            "loadbalancer_pools": st.sampled_from(
                [[], [{"name": "p", "port": "80"}], [{"name": "p", "port": 80, "monitoring_port": 81}]]
            ),
            "allowed_address_pairs": st.just("10.0.0.9"),
            "vrrp_port_check": FLAG,
            "ephemeral_disk": TEXT,
        },
        ("instance_type",),
    ),
    "network of OpenStack": (
        openstack.NetworkProperties,
        _NOTHING,
        {"net_id": TEXT, "security_groups": LIST, "vrrp_port_check": FLAG},
        (),
    ),
    "disk of OpenStack": (openstack.DiskProperties, DISK_KEYS, {"type": TEXT, "name": TEXT}, ()),
    "stemcell of OpenStack": (
        openstack.StemcellProperties,
        STEMCELL_KEYS,
        {
            **_OF_MANIFEST,
            **dict.fromkeys(_IMAGE_KEYS.split(), TEXT),
            **dict.fromkeys(("auto_disk_config", "vmware_linked_clone", "hw_vif_multiqueue_enabled"), FLAG),
            "image_id": TEXT,
            "disk_format": st.just("raw"),
            "tags": st.sampled_from([{}, {"a": 1}]),
        },
        (),
    ),
    "VM of vSphere": (
        vsphere.VmProperties,
        _NOTHING,
        {
            **dict.fromkeys(("cpu", "ram", "disk"), NUMBER),
            **dict.fromkeys(_VSPHERE_FLAGS.split(), FLAG),
            "datacenters": _PLACES,
            "datastores": _DATASTORES,
            "tags": st.just([{"category": "c", "tag": 7}]),
            "vm_group": TEXT,
            "storage_policy": st.just({"name": "p"}),
            "vmx_options": st.just({"a": 1, "b": True}),
            "pci_passthroughs": st.sampled_from([[], [{"vendor_id": 4318, "device_id": "0x1eb8"}]]),
            "vgpus": LIST,
            "device_groups": LIST,
            "root_disk_size_gb": NUMBER,
            "nsxt": rendered({"ns_groups": LIST, "vif_type": st.just("PARENT"), "tag_nsx_vm_objects": FLAG}),
        },
        ("cpu", "ram", "disk"),
    ),
    "network of vSphere": (vsphere.NetworkProperties, _NOTHING, {"name": TEXT}, ("name",)),
    "disk of vSphere": (
        vsphere.DiskProperties,
        DISK_KEYS,
        {"type": st.sampled_from(["thin", "preallocated"]), "datastores": _DATASTORES, "name": TEXT},
        (),
    ),
    "VM of CloudStack": (
        cloudstack.VmProperties,
        _NOTHING,
        {
            "compute_offering": TEXT,
            **dict.fromkeys(("cpu", "ram", "cpu_speed", "disk", "root_disk_size"), NUMBER),
            "ephemeral_disk_offering": TEXT,
            "affinity_group": TEXT,
            "affinity_group_type": TEXT,
            "lbs": st.just([{"name": "l", "public_ip": "a", "private_port": "80", "public_port": 80, "open_firewall": "true"}]),
            "routes": st.just({"n": [{"cidr": "10.0.0.0/8", "gateway": "10.0.0.1"}]}),
        },
        ("compute_offering",),
    ),
    "network of CloudStack": (cloudstack.NetworkProperties, _NOTHING, {"name": TEXT, "undiscoverable": FLAG}, ()),
    "disk of CloudStack": (cloudstack.DiskProperties, DISK_KEYS, {"disk_offering": TEXT, "name": TEXT}, ()),
    "VM of vCloud": (vcloud.VmProperties, _NOTHING, dict.fromkeys(("cpu", "ram", "disk"), NUMBER), ("cpu", "ram")),
    "network of vCloud": (vcloud.NetworkProperties, _NOTHING, {"name": TEXT}, ("name",)),
    "disk of vCloud": (vcloud.DiskProperties, DISK_KEYS, {"name": TEXT}, ()),
    "stemcell of vCloud": (vcloud.StemcellProperties, STEMCELL_KEYS, {**_OF_MANIFEST, "name": TEXT}, ()),
}


@pytest.mark.parametrize("name", _KINDS)
def test_every_cloud_config_is_taken_also_when_strict(name: str) -> None:
    """No key of the official CPI is unknown, and no spelling of a scalar is refused; null is as good as nothing."""
    kind, ignored, keys, needed = _KINDS[name]

    @settings(max_examples=15, deadline=None)
    @given(document=rendered(keys, always=needed))
    def taken(document: dict[str, Any]) -> None:
        read = read_cloud_properties(kind, document, strict=True, ignored_keys=ignored)
        least = read_cloud_properties(kind, {key: document[key] for key in needed})
        for key, value in document.items():
            if value is None and key in kind.__struct_fields__:
                assert getattr(read, key) == getattr(least, key)

    taken()
