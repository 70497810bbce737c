"""What the properties of the jobs may be: what is needed at least, and a value for each that is not its default."""

from typing import Any, Final

from fixtures.certificates import Authority

NEEDED: Final[dict[str, dict[str, Any]]] = {
    "aws_cpi": {"aws.region": "eu", "aws.access_key_id": "k", "aws.secret_access_key": "s"},
    "openstack_cpi": {
        "openstack.auth_url": "https://k.example/v3",
        "openstack.username": "u",
        "openstack.api_key": "p",
        "openstack.project": "p",
        "openstack.domain": "d",
    },
    "vsphere_cpi": {
        "vcenter.address": "v.example",
        "vcenter.user": "u",
        "vcenter.password": "p",
        "vcenter.datacenters": [
            {"name": "d", "clusters": ["c"], "datastore_pattern": "a", "persistent_datastore_pattern": "b", "vm_folder": None}
        ],
    },
    "google_cpi": {"google.project": "p"},
    "cloudstack_cpi": {
        "cloudstack.endpoint": "https://c.example/client/api",
        "cloudstack.api_key": "k",
        "cloudstack.secret_access_key": "s",
        "cloudstack.default_zone": "z",
    },
    "vcloud_cpi": {
        "vcd.url": "https://v.example",
        "vcd.user": "u",
        "vcd.password": "p",
        "vcd.entities.organization": "o",
        "vcd.entities.virtual_datacenter": "v",
        "vcd.entities.vapp_catalog": "c",
        "vcd.entities.media_catalog": "c",
    },
    "cpi": {"plugin": "local", "properties": {"local": {"root": "/nowhere/multicpi"}}},
}
"""Of each job."""

_CREDENTIAL: Final = {
    "openstack.username": None,
    "openstack.api_key": None,
    "openstack.application_credential_id": "i",
    "openstack.application_credential_secret": "s",
}
_PAIR: Final = Authority().signed("multicpi")
_KEY: Final = '{"type": "service_account", "client_email": "a@b", "private_key": "k", "token_uri": "https://t"}'
_NSXT: Final = {"vcenter.nsxt.host": "n", "vcenter.nsxt.use_policy_api": True}
_NSXT_USER: Final = {**_NSXT, "vcenter.nsxt.username": "u", "vcenter.nsxt.password": "p"}
_NSXT_CERTIFICATE: Final = {
    **_NSXT,
    "vcenter.nsxt.auth_certificate": _PAIR.certificate,
    "vcenter.nsxt.auth_private_key": _PAIR.private_key,
}
_PROXY: Final = {"cloudstack.proxy_host": "proxy.example"}
_ACCOUNT: Final = {"cloudstack.account": "a", "cloudstack.domain_id": "d"}
_BLOBSTORE: Final = {"blobstore.address": "10.0.0.6", "blobstore.agent.user": "u", "blobstore.agent.password": "p"}
_NATS: Final = {"nats.address": "10.0.0.6"}

WISHES: Final[dict[str, dict[str, Any]]] = {
    "warm.idle": {"warm.idle": "10m"},
    "aws.credentials_source": {
        "aws.credentials_source": "env_or_profile",
        "aws.access_key_id": None,
        "aws.secret_access_key": None,
    },
    "aws.default_security_groups": {"aws.default_security_groups": ["a", "b"]},
    "aws.metadata_options": {"aws.metadata_options": {"http_tokens": "required"}},
    "blobstore.address": _BLOBSTORE,
    "blobstore.agent.password": _BLOBSTORE,
    "blobstore.agent.user": _BLOBSTORE,
    "blobstore.path": {"blobstore.provider": "local", "blobstore.path": "/blobs"},
    "blobstore.port": {**_BLOBSTORE, "blobstore.port": 1},
    "blobstore.provider": {"blobstore.provider": "local", "blobstore.path": "/blobs"},
    "cloudstack.account": _ACCOUNT,
    "cloudstack.calculate.disk_tags": {"cloudstack.calculate.disk_tags": ["a"]},
    "cloudstack.calculate.not_disk_tags": {"cloudstack.calculate.not_disk_tags": ["a"]},
    "cloudstack.calculate.not_compute_tags": {"cloudstack.calculate.not_compute_tags": ["a"]},
    "cloudstack.calculate.compute_tags": {"cloudstack.calculate.compute_tags": ["a"]},
    "cloudstack.default_security_groups": {"cloudstack.default_security_groups": ["a"]},
    "cloudstack.domain_id": _ACCOUNT,
    "cloudstack.force_expunge": {"cloudstack.force_expunge": False},
    "cloudstack.proxy_password": {**_PROXY, "cloudstack.proxy_password": "p", "cloudstack.proxy_user": "u"},
    "cloudstack.proxy_port": {**_PROXY, "cloudstack.proxy_port": 3128},
    "cloudstack.proxy_user": {**_PROXY, "cloudstack.proxy_password": "p", "cloudstack.proxy_user": "u"},
    "cloudstack.stemcell.zones": {"cloudstack.stemcell.zones": ["a"]},
    "google.json_key": {"google.json_key": _KEY},
    "google.max_retries": {"google.max_retries": 3},
    "nats.address": _NATS,
    "nats.password": {**_NATS, "nats.user": "u", "nats.password": "p"},
    "nats.port": {**_NATS, "nats.port": 1},
    "nats.user": {**_NATS, "nats.user": "u", "nats.password": "p"},
    "ntp": {"ntp": ["10.0.0.1"]},
    "openstack.application_credential_id": _CREDENTIAL,
    "openstack.application_credential_secret": _CREDENTIAL,
    "openstack.config_drive": {"openstack.config_drive": "cdrom"},
    "openstack.connection_options": {"openstack.connection_options": {"ssl_verify_peer": False}},
    "openstack.default_security_groups": {"openstack.default_security_groups": ["a"]},
    "openstack.endpoint_type": {"openstack.endpoint_type": "internalURL"},
    "openstack.retry_config": {"openstack.retry_config": {"default": {"max_attempts": 3, "sleep_duration": 2}}},
    "openstack.retype_migration_policy": {"openstack.retype_migration_policy": "never"},
    "plugin": {"plugin": "google", "properties": {"google": {"project": "p"}}},
    "properties": {"properties": {"local": {"root": "/nowhere/else"}, "ntp": ["10.0.0.1"], "strict_properties": True}},
    "vcd.api_token": {"vcd.user": None, "vcd.password": None, "vcd.api_token": "t"},
    "agent.blobstore": {"agent.blobstore": {"provider": "local", "options": {"blobstore_path": "/blobs"}}},
    "vcd.entities.control": {"vcd.entities.control": {"wait_max": 7}},
    "vcd.control.cookie_timeout": {"vcd.control.cookie_timeout": 60},
    "vcd.control.retry_delay": {"vcd.control.retry_delay": 2},
    "vcd.control.retry_max": {"vcd.control.retry_max": 3},
    "vcd.control.wait_delay": {"vcd.control.wait_delay": 2},
    "vcd.verify_ssl": {"vcd.verify_ssl": False},
    "vcenter.connection_options.ssl_verify_peer": {"vcenter.connection_options.ssl_verify_peer": False},
    "vcenter.datacenters": {
        "vcenter.datacenters": [
            {"name": "e", "clusters": ["c"], "datastore_pattern": "a", "persistent_datastore_pattern": "b", "disk_path": "D"}
        ]
    },
    "vcenter.default_disk_type": {"vcenter.default_disk_type": "thin"},
    "vcenter.default_scsi_controller_type": {"vcenter.default_scsi_controller_type": "lsi_logic"},
    "vcenter.nsxt.allow_overwrite": {**_NSXT_USER, "vcenter.nsxt.allow_overwrite": False},
    "vcenter.nsxt.auth_certificate": _NSXT_CERTIFICATE,
    "vcenter.nsxt.auth_private_key": _NSXT_CERTIFICATE,
    "vcenter.nsxt.ca_cert": {**_NSXT_USER, "vcenter.nsxt.ca_cert": _PAIR.certificate},
    "vcenter.nsxt.default_vif_type": {**_NSXT_USER, "vcenter.nsxt.default_vif_type": "PARENT"},
    "vcenter.nsxt.host": _NSXT_USER,
    "vcenter.nsxt.password": _NSXT_USER,
    "vcenter.nsxt.policy_api_migration_mode": {**_NSXT_USER, "vcenter.nsxt.policy_api_migration_mode": True},
    "vcenter.nsxt.remote_auth": {**_NSXT_USER, "vcenter.nsxt.remote_auth": True},
    "vcenter.nsxt.tag_nsx_vm_objects": {**_NSXT_USER, "vcenter.nsxt.tag_nsx_vm_objects": True},
    "vcenter.nsxt.use_policy_api": _NSXT_USER,
    "vcenter.nsxt.username": _NSXT_USER,
    "vcenter.vmx_options": {"vcenter.vmx_options": {"a": "b"}},
}
"""By the property: it, and what else must be said with it. What is not here has a value by the kind of its default."""

WITHOUT_EFFECT: Final = ("Means nothing", "Must be", "NSX-V has come", "As nsx.address")
"""How the description of a property begins whose value changes nothing, or is refused."""


def wish(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    """A value of a property that is not its default, with what it needs."""
    if name in WISHES:
        return WISHES[name]
    default = facts.get("default")
    if name.endswith("ca_cert"):
        return {name: _PAIR.certificate}
    if name.endswith(("url", "endpoint")):
        return {name: "https://other.example"}
    if isinstance(default, bool):
        return {name: not default}
    if isinstance(default, int) or name.startswith("cloudstack.timeout."):
        return {name: 7}
    return {name: "other"}
