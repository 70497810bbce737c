"""Whatever the official jobs of AWS and Google can render is taken, and whatever operators write in a cloud-config.

Each key may be absent, null, empty where that means the default, its default, or a value; scalars with quotes or without.
"""

import logging
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cpi.config import cloud_config
from cpi.contract import errors
from cpi.kit.settings import DISK_KEYS, STEMCELL_KEYS, read_cloud_properties
from cpi_drivers.aws import properties as aws_properties
from cpi_drivers.aws import settings as aws_settings
from cpi_drivers.google import properties as google_properties
from cpi_drivers.google import settings as google_settings
from tests.unit.rendered import FLAG, LIST, NUMBER, rendered

_TEXT: Final = st.sampled_from(["a", "bosh-1", "arn:aws:iam::1:role/x", 12345])
_TAGS: Final = st.dictionaries(st.sampled_from(["team", "cost-center"]), st.sampled_from(["x", 1234]), max_size=2)
_METADATA: Final = {"http_tokens": st.sampled_from(["required", "optional"]), "http_put_response_hop_limit": NUMBER}


_AWS: Final = rendered(
    {
        "credentials_source": st.sampled_from(["static", "env_or_profile"]),
        "access_key_id": _TEXT,
        "secret_access_key": st.just("a-secret"),
        "session_token": st.just("a-token"),
        "role_arn": _TEXT,
        "region": st.sampled_from(["eu-west-1", "cn-north-1"]),
        "ec2_endpoint": st.just("ec2.eu-west-1.amazonaws.com"),
        "elb_endpoint": st.just("elasticloadbalancing.eu-west-1.amazonaws.com"),
        "dualstack": FLAG,
        "max_retries": NUMBER,
        "default_key_name": _TEXT,
        "default_security_groups": LIST,
        "default_iam_instance_profile": _TEXT,
        "encrypted": FLAG,
        "kms_key_arn": _TEXT,
        "metadata_options": rendered(_METADATA),
        "enable_describe_instance_types": FLAG,
        "fast_path_delete": FLAG,
        "connection_options": rendered({"ca_cert": st.just("-----BEGIN CERTIFICATE-----")}),
        "stemcell": rendered({"kernel_id": _TEXT}),
        "registry": rendered({"endpoint": _TEXT, "user": _TEXT, "password": _TEXT}),
    }
)
_GOOGLE: Final = rendered(
    {
        "project": st.sampled_from(["a-project", 12345]),
        "user_agent_prefix": _TEXT,
        "json_key": st.sampled_from(
            ["", '{"type": "service_account", "client_email": "a", "private_key": "k", "token_uri": "u"}']
        ),
        "default_root_disk_size_gb": NUMBER,
        "default_root_disk_type": _TEXT,
    },
    always=("project",),
)
# Why the page says that a document is refused.
_REASONS: Final = ("credentials_source static", "have no place beside credentials_source", "give it, or both ec2_endpoint")


def _document(plugin: str, block: dict[str, Any]) -> dict[str, Any]:
    agent = {"mbus": "nats://10.0.0.6:4222", "ntp": ["0.pool.ntp.org"]}
    properties = {plugin: block, "agent": agent, "debug": {"cpi": {"api_version": 3}}, "registry": {"use_gce_metadata": True}}
    return {"cloud": {"plugin": plugin, "properties": properties}}


_often = settings(
    max_examples=70, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def _faults(block: dict[str, Any]) -> list[str]:
    try:
        aws_settings.read(cloud_config(_document("aws", block), "aws"))
    except errors.CpiError as error:
        return error.message.splitlines()[1:]
    return []


@_often
@given(block=_AWS)
def test_every_document_of_the_aws_job_is_taken_or_refused_for_a_told_reason(
    caplog: pytest.LogCaptureFixture, block: Any
) -> None:
    """Without a warning."""
    caplog.clear()
    faults = _faults(block)
    assert [fault for fault in faults if not any(reason in fault for reason in _REASONS)] == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@_often
@given(block=_GOOGLE)
def test_every_document_of_the_google_job_is_taken(caplog: pytest.LogCaptureFixture, block: Any) -> None:
    """Without a warning."""
    caplog.clear()
    google_settings.read(cloud_config(_document("google", block), "google"))
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


_VOLUME: Final = {"size": NUMBER, "type": st.sampled_from(["gp2", "gp3", "io1"]), "iops": NUMBER, "throughput": NUMBER}
_KINDS: Final[dict[str, tuple[type[msgspec.Struct], frozenset[str], dict[str, st.SearchStrategy[Any]]]]] = {
    "VM of AWS": (
        aws_properties.VmProperties,
        frozenset[str](),
        {
            "instance_type": st.just("m5.large"),
            "availability_zone": _TEXT,
            "security_groups": LIST,
            "key_name": _TEXT,
            "spot_bid_price": st.sampled_from([0.25, "0.25", 1]),
            "spot_ondemand_fallback": FLAG,
            "elbs": LIST,
            "lb_target_groups": LIST,
            "iam_instance_profile": _TEXT,
            "placement_group": _TEXT,
            "tenancy": st.sampled_from(["default", "dedicated"]),
            "auto_assign_public_ip": FLAG,
            "advertised_routes": st.just([{"table_id": "rtb-1", "destination": "10.0.0.0/24"}]),
            "source_dest_check": FLAG,
            "raw_instance_storage": FLAG,
            "ephemeral_disk": rendered({**_VOLUME, "encrypted": FLAG, "kms_key_arn": _TEXT, "use_root_disk": FLAG}),
            "root_disk": rendered(_VOLUME),
            "metadata_options": rendered(_METADATA),
            "tags": _TAGS,
        },
    ),
    "disk of AWS": (
        aws_properties.DiskProperties,
        DISK_KEYS,
        {
            **{key: kind for key, kind in _VOLUME.items() if key != "size"},
            "encrypted": FLAG,
            "kms_key_arn": _TEXT,
            "name": _TEXT,
        },
    ),
    "network of AWS": (aws_properties.NetworkProperties, frozenset[str](), {"subnet": _TEXT, "security_groups": LIST}),
    "stemcell of AWS": (
        aws_properties.StemcellProperties,
        STEMCELL_KEYS,
        {
            "ami": st.just({"eu-west-1": "ami-1"}),
            "name": _TEXT,
            "version": st.sampled_from(["1.10", 621]),
            "disk": NUMBER,
            "disk_format": _TEXT,
            "hypervisor": _TEXT,
            "infrastructure": _TEXT,
            "os_type": _TEXT,
            "root_device_name": _TEXT,
            "boot_mode": st.just("uefi"),
            "encrypted": FLAG,
        },
    ),
    "VM of Google": (
        google_properties.VmProperties,
        frozenset[str](),
        {
            "zone": _TEXT,
            "machine_type": _TEXT,
            "cpu": NUMBER,
            "ram": NUMBER,
            "root_disk_size_gb": NUMBER,
            "root_disk_type": _TEXT,
            "automatic_restart": FLAG,
            "on_host_maintenance": st.sampled_from(["MIGRATE", "TERMINATE"]),
            "preemptible": FLAG,
            "service_account": _TEXT,
            "service_scopes": LIST,
            "accelerators": st.just([{"type": "nvidia-tesla-t4", "count": "1"}]),
            "target_pool": _TEXT,
            "backend_service": st.sampled_from(
                ["a", {"name": "a"}, {"name": "a", "scheme": "INTERNAL"}, {"name": "a", "scheme": None}]
            ),
            "ephemeral_external_ip": FLAG,
            "ip_forwarding": FLAG,
            "tags": LIST,
            "labels": _TAGS,
        },
    ),
    "network of Google": (
        google_properties.NetworkProperties,
        frozenset[str](),
        {
            "network_name": _TEXT,
            "subnetwork_name": _TEXT,
            "xpn_host_project_id": _TEXT,
            "ephemeral_external_ip": FLAG,
            "ip_forwarding": FLAG,
            "tags": LIST,
        },
    ),
}


@pytest.mark.parametrize("name", _KINDS)
def test_every_cloud_config_is_taken_also_when_strict(name: str) -> None:
    """No key of the official CPI is unknown, and no spelling of a scalar is refused."""
    kind, ignored, keys = _KINDS[name]

    @settings(max_examples=50, deadline=None)
    @given(document=rendered(keys))
    def taken(document: dict[str, Any]) -> None:
        read = read_cloud_properties(kind, document, strict=True, ignored_keys=ignored)
        nothing = read_cloud_properties(kind, {})
        for key, value in document.items():
            if value is None and key in kind.__struct_fields__:
                assert getattr(read, key) == getattr(nothing, key)

    taken()
