"""Who calls: every kind of credentials that the driver takes, and how each is told when it is no good."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.ids import VmCid
from fixtures.clouds.google import accounts
from fixtures.clouds.google.lab import Lab, service_account_key

_VM = VmCid("vm-that-never-was")


def _asked(google: Lab, **own: Any) -> str:
    """The token that has_vm carried."""
    with cpi.connect(google.config(**own)) as cloud:
        assert not cloud.has_vm(_VM)
    return google.proxy.calls[-1].request.headers["Authorization"].removeprefix("Bearer ")


@pytest.fixture(autouse=True)
def no_other_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests is nobody's business."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "none"))


def _answered(google: Lab, file: Path, **environment: str) -> dict[str, Any]:
    """What the executable answers to has_vm without a key: the SDK reads some of its environment only once."""
    file.write_text(json.dumps(google.config(json_key="")))
    request = {"method": "has_vm", "arguments": [_VM], "context": {"director_uuid": "d"}, "api_version": 2}
    done = subprocess.run(
        [sys.executable, "-m", "cpi", "rpc", "--config", str(file)],
        input=json.dumps(request).encode(),
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_key_signs_its_own_tokens(google: Lab) -> None:
    """Google is asked for none: one call is one call."""
    token = _asked(google)
    assert token.count(".") == 2
    assert len(google.proxy.calls) == 1


def test_a_key_file_named_by_the_environment_serves(google: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Application default credentials."""
    file = tmp_path / "key.json"
    file.write_text(json.dumps(service_account_key(google.url)))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    assert _asked(google, json_key="") == accounts.OAUTH_TOKEN


def test_the_service_account_of_the_instance_serves(google: Lab, tmp_path: Path) -> None:
    """By the metadata server, where the CPI runs on Compute Engine."""
    host = google.url.removeprefix("http://")
    answer = _answered(google, tmp_path / "cpi.json", GCE_METADATA_HOST=host, GCE_METADATA_IP=host)
    assert (answer["result"], answer["error"]) == (False, None)
    assert google.proxy.calls[-1].request.headers["Authorization"] == f"Bearer {accounts.INSTANCE_TOKEN}"


def test_another_service_account_can_be_impersonated(google: Lab) -> None:
    """On top of a key."""
    assert _asked(google, impersonate_service_account="other@a-project.iam.gserviceaccount.com") == accounts.IMPERSONATED_TOKEN


def test_without_any_credentials_it_says_so(google: Lab, tmp_path: Path) -> None:
    """A CloudError, never NotImplemented, which the director takes for a missing method."""
    error = _answered(google, tmp_path / "cpi.json", NO_GCE_CHECK="true")["error"]
    assert error["type"] == "Bosh::Clouds::CloudError"
    assert "does not accept the credentials" in error["message"]
    assert google.proxy.counts() == {}


def test_a_key_that_google_does_not_know_is_told(google: Lab) -> None:
    """Its e-mail is another."""
    key = {**service_account_key(google.url), "client_email": "somebody@elsewhere"}
    config = google.config(json_key=json.dumps(key))
    with (
        cpi.connect(config) as cloud,
        pytest.raises(errors.CloudError, match=r"invalid authentication credentials.*check json_key"),
    ):
        cloud.create_disk(1024, {"zone": "europe-west1-b"})  # type: ignore[arg-type]  # MiB


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("{not json", "is no JSON document"),
        ("[]", "expected an object"),
        ('{"type": "service_account"}', "has no client_email"),
    ],
)
def test_a_key_that_is_none_is_a_fault_of_the_configuration(google: Lab, key: str, fault: str) -> None:
    """Told with the other faults, and not quoted."""
    with pytest.raises(errors.CpiError, match=fault) as caught:
        cpi.connect(google.config(json_key=key, max_retries=-1))
    assert "max_retries" in caught.value.message
    assert not isinstance(caught.value, errors.NotImplemented)


def test_a_private_key_that_is_none_is_told_without_quoting_it(google: Lab) -> None:
    """Only the SDK finds out."""
    key = {
        **service_account_key(google.url),
        "private_key": "-----BEGIN PRIVATE KEY-----\nbm9uc2Vuc2U=\n-----END PRIVATE KEY-----\n",
    }
    config = google.config(json_key=json.dumps(key))
    with cpi.connect(config) as cloud, pytest.raises(errors.CloudError, match="does not accept the credentials") as caught:
        cloud.has_vm(_VM)
    assert "bm9uc2Vuc2U" not in caught.value.message


def test_permissions_that_are_missing_are_told(google: Lab) -> None:
    """With the way to see which."""
    google.set(denied=["aggregatedList"])
    with cpi.connect(google.config()) as cloud, pytest.raises(errors.CloudError, match="cpi doctor"):
        cloud.has_vm(_VM)


def test_the_user_agent_begins_with_the_operators_prefix(google: Lab) -> None:
    """By which Google's partners tell their traffic."""
    _asked(google, user_agent_prefix="partner/1.0")
    assert google.proxy.calls[-1].request.headers["User-Agent"].startswith("partner/1.0 multicpi")


def test_a_proxy_of_the_configuration_is_used_but_for_hosts_that_need_none(google: Lab) -> None:
    """Where none listens, nothing is reached."""
    closed = {"http_proxy": "http://127.0.0.1:9"}
    with cpi.connect(google.config(env=closed, max_retries=0)) as cloud, pytest.raises(errors.CloudError):
        cloud.has_vm(_VM)
    _asked(google, env={**closed, "no_proxy": "127.0.0.1"})


def test_the_log_never_holds_a_token_or_the_key(google: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """At any level."""
    with caplog.at_level(logging.NOTSET):
        token = _asked(google)
    assert token not in caplog.text
    assert service_account_key(google.url)["private_key"][60:100] not in caplog.text
