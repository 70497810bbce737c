"""A director that holds a boto3.Session hands it over: the driver calls with its credentials."""

import contextlib
import datetime as dt
import logging
from typing import Any

import boto3
import botocore.credentials
import botocore.session
import pytest

import cpi
from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.contract.units import MiB
from fixtures.clouds.aws.lab import REGION, ZONES, Lab
from fixtures.proxy import Rule, effects
from tests.drivers.aws.conftest import Helper

_SECRET = "secret-key-of-the-session"  # noqa: S105 - of a fake
_LOGIN = ("credentials_source", "access_key_id", "secret_access_key", "region")


def without_login(aws: Lab, **own: Any) -> dict[str, Any]:
    """A configuration without keys and region."""
    config = aws.config(**own)
    block = config["cloud"]["properties"]["aws"]
    config["cloud"]["properties"]["aws"] = {key: value for key, value in block.items() if key not in _LOGIN}
    return config


def key_ids(aws: Lab) -> set[str]:
    """Whose signatures the calls carried."""
    return {call.request.headers["Authorization"].partition("Credential=")[2].partition("/")[0] for call in aws.proxy.calls}


def test_a_vm_with_a_disk_by_the_callers_session(aws: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """No keys are in the configuration; closing the cloud leaves the session usable; no log shows its secrets."""
    session = boto3.Session("AKIASESSION", _SECRET, "token-of-the-session", region_name=REGION)
    with caplog.at_level(logging.DEBUG), cpi.connect(without_login(aws), session=session) as cloud:
        helper = Helper(aws, cloud)
        aws.proxy.forget_calls()
        vm = helper.vm()
        disk_cid = cloud.create_disk(MiB(1024), {"availability_zone": ZONES[0]}, vm.cid)
        cloud.attach_disk(vm.cid, disk_cid)
        assert list(cloud.get_disks(vm.cid)) == [disk_cid]
        cloud.delete_vm(vm.cid)
    assert key_ids(aws) == {"AKIASESSION"}
    assert {call.request.headers["X-Amz-Security-Token"] for call in aws.proxy.calls} == {"token-of-the-session"}
    assert _SECRET not in caplog.text
    assert "token-of-the-session" not in caplog.text
    with contextlib.closing(session.client("ec2", endpoint_url=aws.moto_url)) as ec2:
        assert ec2.describe_volumes(VolumeIds=[disk_cid])["Volumes"]


def test_credentials_that_renew_themselves_are_asked_each_time(aws: Lab) -> None:
    """As those of a role or of single sign-on: the session holds them, and the driver keeps no copy."""
    given: list[str] = []

    def renewed() -> dict[str, str]:
        given.append(f"AKIA{len(given)}")
        ended = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)  # so short that they are renewed for each call
        return {"access_key": given[-1], "secret_key": _SECRET, "token": "t", "expiry_time": ended.isoformat()}

    held = botocore.credentials.RefreshableCredentials.create_from_metadata(renewed(), renewed, "of the test")
    own = botocore.session.Session()
    own._credentials = held
    with cpi.connect(without_login(aws), session=boto3.Session(region_name=REGION, botocore_session=own)) as cloud:
        for _ in range(3):
            cloud.has_vm(VmCid("i-nothing"))
    assert len(key_ids(aws)) == 3


def test_a_role_is_assumed_with_the_callers_session(aws: Lab) -> None:
    """role_arn of the configuration lies on top of it."""
    session = boto3.Session("AKIASESSION", _SECRET, region_name=REGION)
    with cpi.connect(without_login(aws, role_arn="arn:aws:iam::123456789012:role/cpi"), session=session) as cloud:
        cloud.has_vm(VmCid("i-nothing"))
    assumed, asked = aws.proxy.calls[0].request, aws.proxy.calls[-1].request
    assert (assumed.action, "Credential=AKIASESSION/" in assumed.headers["Authorization"]) == ("AssumeRole", True)
    assert "Credential=AKIASESSION/" not in asked.headers["Authorization"]


def test_refused_credentials_are_asked_for_once_more(aws: Lab) -> None:
    """The caller may have replaced them meanwhile; then the refusal is reported."""
    rule = Rule("DescribeInstances", effects.answer(400, _error("ExpiredToken")))
    aws.proxy.inject(rule)
    session = boto3.Session("AKIASESSION", _SECRET, region_name=REGION)
    with cpi.connect(without_login(aws), session=session) as cloud, pytest.raises(errors.Error, match="ExpiredToken"):
        cloud.has_vm(VmCid("i-nothing"))
    assert rule.met == 2


def test_a_session_without_credentials_is_reported(aws: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first call: boto3 itself looks for them only then."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    session = boto3.Session(region_name=REGION)
    with (
        cpi.connect(without_login(aws), session=session) as cloud,
        pytest.raises(cpi.CpiError, match="no usable AWS credentials"),
    ):
        cloud.has_vm(VmCid("i-nothing"))


def _error(code: str) -> bytes:
    return f"<Response><Errors><Error><Code>{code}</Code><Message>x</Message></Error></Errors></Response>".encode()
