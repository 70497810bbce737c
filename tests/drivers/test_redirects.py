"""No driver follows a redirect: whoever it leads to would get the password, the token or a signed call."""

from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.ids import VmCid
from fixtures.proxy import Answer, Request
from fixtures.web_server import web_server

_AGENT = {"mbus": "https://user:password-of-the-agent@0.0.0.0:6868"}
_SECRET = "a-secret-of-the-operator"  # noqa: S105 - made to be looked for
_ID = "6a3a1d0a-7c58-4a5c-8c3f-0e5a2f6a9b11"
_VMS = {
    "aws": VmCid("i-0123456789abcdef0"),
    "cloudstack": VmCid(_ID),
    "openstack": VmCid(_ID),
    "vcloud": VmCid(f"urn:vcloud:vm:{_ID}"),
}


def _config(driver: str, url: str, folder: Path) -> dict[str, Any]:
    blocks: dict[str, tuple[str, dict[str, Any]]] = {
        "aws": (
            "aws",
            {"access_key_id": "key", "secret_access_key": _SECRET, "region": "us-east-1", "ec2_endpoint": url, "max_retries": 0},
        ),
        "cloudstack": (
            "cloudstack",
            {"endpoint": f"{url}/client/api", "api_key": "key", "secret_access_key": _SECRET, "default_zone": "z"},
        ),
        "openstack": (
            "openstack",
            {"auth_url": f"{url}/v3", "username": "user", "api_key": _SECRET, "project": "bosh", "domain": "Default"},
        ),
        "vcloud": (
            "vcd",
            {
                "url": url,
                "user": "user",
                "password": _SECRET,
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
    if driver != "aws":
        block["cache_folder"] = str(folder / "cache")
    return {"cloud": {"plugin": driver, "properties": {key: block, "agent": _AGENT, "ntp": []}}}


@pytest.mark.parametrize("status", [302, 307, 308])
@pytest.mark.parametrize("driver", ["aws", "cloudstack", "openstack", "vcloud"])
def test_no_redirect_is_followed(tmp_path: Path, driver: str, status: int) -> None:
    """The other server is never asked; the error names the redirect, and shows no secret."""
    asked: list[Request] = []

    def elsewhere(request: Request) -> Answer:
        asked.append(request)
        return Answer(200, b"{}")

    with web_server(elsewhere) as target:

        def redirecting(request: Request) -> Answer:
            return Answer(status, b"", {"Location": f"{target}{request.path}"})

        with (
            web_server(redirecting) as url,
            cpi.connect(_config(driver, url, tmp_path)) as cloud,
            pytest.raises((errors.CpiError, errors.CloudError)) as caught,
        ):
            cloud.has_vm(_VMS[driver])
    assert asked == []
    assert str(status) in str(caught.value) or driver == "aws"  # botocore does not say which status it could not read
    assert _SECRET not in str(caught.value)
