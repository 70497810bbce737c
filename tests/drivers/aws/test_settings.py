"""The configuration: the official CPI's keys, every fault at once; credentials from every source."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.model import CallContext
from fixtures.clouds.aws.answers import refusal
from fixtures.clouds.aws.lab import Lab
from fixtures.proxy import Answer, Request, Rule, effects

_OFFICIAL = {
    "credentials_source": "static",
    "access_key_id": "AKIAEXAMPLE",
    "secret_access_key": "a-secret-for-tests",
    "session_token": None,
    "role_arn": None,
    "region": "eu-west-1",
    "default_key_name": "bosh",
    "default_security_groups": ["bosh"],
    "default_iam_instance_profile": "profile",
    "max_retries": 8,
    "encrypted": False,
    "kms_key_arn": None,
    "metadata_options": {"http_tokens": "required"},
    "dualstack": False,
    "fast_path_delete": False,
    "enable_describe_instance_types": True,
    "connection_options": {"ca_cert": None},
    "stemcell": {"kernel_id": None},
    "registry": {"host": "old"},
}


def _document(block: dict[str, Any]) -> dict[str, Any]:
    return {"cloud": {"plugin": "aws", "properties": {"aws": block}}}


def test_the_official_cpis_block_is_taken_as_it_is() -> None:
    """Without a call."""
    with cpi.connect(_document(_OFFICIAL)) as cloud:
        assert cloud.ping() == "pong"


def test_every_fault_is_told_at_once_and_no_secret() -> None:
    """With the nearest known key."""
    wrong = {**_OFFICIAL, "region": True, "max_retries": "many", "default_securty_groups": [], "secret_access_key": "very-secret"}
    with pytest.raises(errors.CpiError) as caught:
        cpi.connect(_document(wrong))
    assert "aws.region: Expected `str | null`, got `bool`" in caught.value.message
    assert "aws.max_retries" in caught.value.message
    assert "did you mean 'default_security_groups'?" in caught.value.message
    assert "very-secret" not in caught.value.message


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        ({"region": "eu-west-1"}, "access_key_id: is missing for credentials_source static"),
        ({"credentials_source": "env_or_profile", "region": "r", "access_key_id": "a"}, "have no place beside"),
        ({"access_key_id": "a", "secret_access_key": "b"}, "region: is missing"),
    ],
)
def test_keys_that_do_not_go_together_are_told(block: dict[str, Any], fault: str) -> None:
    """Before any call."""
    with pytest.raises(errors.CpiError, match=fault):
        cpi.connect(_document(block))


def _scope(aws: Lab) -> tuple[str, str]:
    request = aws.proxy.calls[-1].request
    key = request.headers["Authorization"].partition("Credential=")[2].split("/")[0]
    return key, request.headers.get("X-Amz-Security-Token", "")


def test_static_keys_with_a_session_token_sign_the_calls(aws: Lab) -> None:
    """Both arrive."""
    own = aws.config(session_token="token-of-a-session")  # noqa: S106 - not secret
    with cpi.connect(own) as cloud:
        cloud.has_vm(cpi.VmCid("i-1"))
    assert _scope(aws) == ("AKIAEXAMPLE", "token-of-a-session")


def test_the_contexts_credentials_lie_over_the_configurations(aws: Lab) -> None:
    """A cpi-config entry brings its own, for one call."""
    context = CallContext(properties={"access_key_id": "AKIAOTHER", "secret_access_key": "other"})
    with cpi.connect(aws.config(), context) as cloud:
        cloud.has_vm(cpi.VmCid("i-1"))
    assert _scope(aws)[0] == "AKIAOTHER"


def test_env_or_profile_takes_what_the_environment_holds(aws: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every AWS tool."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFROMENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "from-the-environment")
    own = aws.config(credentials_source="env_or_profile", access_key_id=None, secret_access_key=None)
    with cpi.connect(own) as cloud:
        cloud.has_vm(cpi.VmCid("i-1"))
    assert _scope(aws)[0] == "AKIAFROMENV"


def test_no_credentials_at_all_is_told_plainly(aws: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: str) -> None:
    """As a fault of the configuration."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    own = aws.config(credentials_source="env_or_profile", access_key_id=None, secret_access_key=None)
    with pytest.raises(errors.CpiError, match="no usable AWS credentials"), cpi.connect(own) as cloud:
        cloud.has_vm(cpi.VmCid("i-1"))


def test_a_role_is_assumed_on_top_once_for_many_calls(aws: Lab) -> None:
    """Its keys sign; STS is asked once."""
    with cpi.connect(aws.config(role_arn="arn:aws:iam::123456789012:role/cpi")) as cloud:
        cloud.has_vm(cpi.VmCid("i-1"))
        cloud.has_vm(cpi.VmCid("i-2"))
    assert aws.proxy.counts() == {"AssumeRole": 1, "DescribeInstances": 2}
    key, token = _scope(aws)
    assert key.startswith("ASIA")
    assert token


def _with_role(aws: Lab, **own: Any) -> None:
    with cpi.connect(aws.config(role_arn="arn:aws:iam::123456789012:role/cpi", **own)) as cloud:
        cloud.has_vm(cpi.VmCid("i-1"))


def _kept(folder: Path) -> list[Path]:
    return list(folder.glob("multicpi/aws/role-*.json"))


def test_a_roles_credentials_are_kept_for_the_next_process(aws: Lab, tmp_path: Path) -> None:
    """STS is asked once for many processes; by another caller, again. Nobody else can read the file."""
    for _ in range(3):
        _with_role(aws)
    assert aws.proxy.counts() == {"AssumeRole": 1, "DescribeInstances": 3}
    (file,) = _kept(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert "example-of-a-secret-key" not in file.read_text() + file.name
    _with_role(aws, secret_access_key="of somebody else")  # noqa: S106 - not secret
    assert aws.proxy.counts()["AssumeRole"] == 2


@pytest.mark.parametrize("spoil", ["soon over", "readable by others", "no JSON", "refused"])
def test_kept_credentials_that_are_no_good_are_not_used(aws: Lab, tmp_path: Path, spoil: str) -> None:
    """The role is assumed anew."""
    _with_role(aws)
    (file,) = _kept(tmp_path)
    content = json.loads(file.read_text())
    if spoil == "soon over":
        soon = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=10)
        file.write_text(json.dumps({**content, "expiry_time": soon.isoformat()}))
    elif spoil == "readable by others":
        file.chmod(0o644)
    elif spoil == "no JSON":
        file.write_text("{")
    else:
        aws.proxy.inject(Rule("DescribeInstances", effects.decided(lambda _: refusal("AuthFailure", "revoked", 401)), times=1))
    aws.proxy.forget_calls()
    _with_role(aws)
    assert aws.proxy.counts()["AssumeRole"] == 1


def test_an_instance_profile_is_asked_of_the_metadata_service(aws: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """env_or_profile on a VM of AWS."""
    soon = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    answers = {
        "PUT /latest/api/token": b"a-token",
        "GET /latest/meta-data/iam/security-credentials/": b"role",
        "GET /latest/meta-data/iam/security-credentials/role": (
            f'{{"Code": "Success", "AccessKeyId": "ASIAPROFILE", "SecretAccessKey": "s", "Token": "t", "Expiration": "{soon}"}}'
        ).encode(),
    }

    def metadata(request: Request) -> Answer | None:
        found = answers.get(f"{request.method} {request.path}")
        return Answer(200, found, {"Content-Type": "text/plain"}) if found else None

    aws.proxy.inject(Rule("*", effects.decided(metadata)))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.proxy.url)
    own = aws.config(credentials_source="env_or_profile", access_key_id=None, secret_access_key=None)
    with cpi.connect(own) as cloud:
        cloud.has_vm(cpi.VmCid("i-1"))
    assert _scope(aws) == ("ASIAPROFILE", "t")


def test_dualstack_endpoints_and_hosts_without_a_scheme() -> None:
    """As the official CPI's configuration names them."""
    from cpi_drivers.aws.api.client import Client
    from cpi_drivers.aws.settings import AwsSettings

    keys: dict[str, Any] = {"access_key_id": "a", "region": "eu-west-1"}
    dual = Client(AwsSettings(**keys, dualstack=True))._service("ec2").meta.endpoint_url
    assert dual == "https://ec2.eu-west-1.api.aws"
    own = Client(AwsSettings(access_key_id="a", ec2_endpoint="ec2.eu-north-1.example.com", elb_endpoint="elb.example.com"))
    assert own._service("ec2").meta.endpoint_url == "https://ec2.eu-north-1.example.com"
    assert own._service("ec2").meta.region_name == "eu-north-1"


def test_proxies_and_ca_of_the_configuration_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the hosts that no_proxy does not name."""
    from cpi.kit.proxies import Proxies
    from cpi_drivers.aws.api.client import Client
    from cpi_drivers.aws.settings import AwsSettings, ConnectionOptions

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    env = Proxies(https_proxy="http://proxy.example:3128", no_proxy="ec2.eu-west-1.amazonaws.com")
    client = Client(AwsSettings(region="eu-west-1", env=env, connection_options=ConnectionOptions(ca_cert="-----BEGIN…")))
    assert client._config("https://sts.eu-west-1.amazonaws.com").proxies == {"https": "http://proxy.example:3128"}
    assert client._config("https://ec2.eu-west-1.amazonaws.com").proxies == {}
    assert Path(str(client._ca_bundle)).read_text(encoding="utf-8") == "-----BEGIN…"
    client.close()
