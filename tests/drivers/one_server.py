"""Configurations of drivers whose whole cloud is one web server on loopback."""

import json
from pathlib import Path
from typing import Any

from cpi.contract.ids import VmCid
from fixtures.clouds.google.lab import service_account_key

_AGENT = {"mbus": "https://user:password-of-the-agent@0.0.0.0:6868"}
_ID = "6a3a1d0a-7c58-4a5c-8c3f-0e5a2f6a9b11"
VMS = {
    "aws": VmCid("i-0123456789abcdef0"),
    "cloudstack": VmCid(_ID),
    "openstack": VmCid(_ID),
    "google": VmCid("vm-0123"),
    "vcloud": VmCid(f"urn:vcloud:vm:{_ID}"),
    "vsphere": VmCid("vm-0123"),
}


def config_of(driver: str, url: str, folder: Path, secret: str) -> dict[str, Any]:
    """The driver's least, with a secret; Google's is a token that the server has to give out for its key."""
    blocks: dict[str, tuple[str, Any]] = {
        "aws": (
            "aws",
            {"access_key_id": "key", "secret_access_key": secret, "region": "us-east-1", "ec2_endpoint": url, "max_retries": 0},
        ),
        "cloudstack": (
            "cloudstack",
            {"endpoint": f"{url}/client/api", "api_key": "key", "secret_access_key": secret, "default_zone": "z"},
        ),
        "openstack": (
            "openstack",
            {"auth_url": f"{url}/v3", "username": "user", "api_key": secret, "project": "bosh", "domain": "Default"},
        ),
        "google": (
            "google",
            {
                "project": "a-project",
                "json_key": json.dumps(service_account_key(url)),
                "impersonate_service_account": "other@a-project.iam.gserviceaccount.com",
                "endpoints": dict.fromkeys(("compute", "storage", "cloudresourcemanager", "iamcredentials"), url),
                "default_zone": "europe-west1-b",
                "max_retries": 0,
            },
        ),
        "vsphere": (
            "vcenters",
            [_vcenter(url, folder, secret)],
        ),
        "vcloud": (
            "vcd",
            {
                "url": url,
                "user": "user",
                "password": secret,
                "entities": {
                    "organization": "org",
                    "virtual_datacenter": "vdc",
                    "vapp_catalog": "vapps",
                    "media_catalog": "media",
                },
            },
        ),
    }
    key, block = blocks[driver]
    if driver not in {"aws", "google", "vsphere"}:
        block["cache_folder"] = str(folder / "cache")
    return {"cloud": {"plugin": driver, "properties": {key: block, "agent": _AGENT, "ntp": []}}}


def _vcenter(url: str, folder: Path, secret: str) -> dict[str, Any]:
    datacenter = {
        "name": "dc",
        "vm_folder": "vms",
        "template_folder": "templates",
        "disk_path": "disks",
        "datastore_pattern": ".*",
        "persistent_datastore_pattern": ".*",
        "clusters": ["cluster"],
    }
    return {"host": url, "user": "user", "password": secret, "cache_folder": str(folder / "cache"), "datacenters": [datacenter]}
