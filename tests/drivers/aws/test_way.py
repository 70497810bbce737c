"""The way to AWS: proxies, instance metadata, and credentials that are refused in the middle."""

import contextlib
import http.server
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.units import MiB
from cpi_drivers.aws.api.client import Client
from cpi_drivers.aws.settings import AwsSettings
from fixtures.clouds.aws.answers import refusal
from fixtures.clouds.aws.lab import ZONES, Lab
from fixtures.proxy import Answer, Request, Rule, effects

_KEYS = {"access_key_id": "AKIAEXAMPLE", "secret_access_key": "a-secret"}
_ROLE_ANSWER = (
    b'{"Code": "Success", "AccessKeyId": "AKIAINSTANCE", "SecretAccessKey": "s", "Token": "t",'
    b' "Expiration": "2099-01-01T00:00:00Z"}'
)


@pytest.mark.parametrize(
    ("region", "dualstack", "no_proxy"),
    [
        ("eu-west-1", False, "elasticloadbalancing.eu-west-1.amazonaws.com"),
        ("eu-west-1", True, "api.aws"),
        ("cn-north-1", False, "amazonaws.com.cn"),
        ("us-iso-east-1", False, "c2s.ic.gov"),
        ("eusc-de-east-1", False, "amazonaws.eu"),
    ],
)
def test_no_proxy_is_compared_with_the_host_that_is_called(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    region: str,
    dualstack: bool,  # noqa: FBT001 - pytest
    no_proxy: str,
) -> None:
    """Whatever the partition."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    from cpi.kit.settings import read_settings

    for bypassed, named in ((True, no_proxy), (False, "other.example")):
        document = {
            **_KEYS,
            "region": region,
            "dualstack": dualstack,
            "env": {"https_proxy": "proxy.example:1", "no_proxy": named},
        }
        client = Client(read_settings(AwsSettings, document, "aws"))
        service = client._service("elb")
        host = service.meta.endpoint_url
        assert no_proxy in host
        assert service.meta.config.proxies == ({} if bypassed else {"https": "http://proxy.example:1"})
        client.close()


class _Metadata(http.server.BaseHTTPRequestHandler):
    """The service, which is busy at first."""

    def do_PUT(self) -> None:
        self._answer(b"token")

    def do_GET(self) -> None:
        self._answer(b"role" if self.path.endswith("/") else _ROLE_ANSWER)

    def _answer(self, body: bytes) -> None:
        busy: list[int] = self.server.busy  # type: ignore[attr-defined]  # set below
        self.send_response(busy.pop(0) if busy else 200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """To nobody."""


@contextlib.contextmanager
def _metadata(busy: list[int]) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Metadata) as server:
        server.busy = busy  # type: ignore[attr-defined]  # as above
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def no_other_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests is nobody's business."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


@pytest.mark.usefixtures("no_other_credentials")
@pytest.mark.parametrize("busy", [[503], [200, 429], [200, 404, 200, 503], [200, 200, 503]])
def test_instance_metadata_are_asked_several_times_and_by_no_proxy(
    aws: Lab, monkeypatch: pytest.MonkeyPatch, busy: list[int]
) -> None:
    """503, 429 or 404 once is no reason to give up."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", f"127.0.0.1:{aws.proxy.url.rpartition(':')[2]}")
    with _metadata(busy) as url:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        own = {"credentials_source": "env_or_profile", "access_key_id": None, "secret_access_key": None}
        with cpi.connect(aws.config(**own)) as cloud:
            assert cloud.create_disk(MiB(1024), {"availability_zone": ZONES[0]})
    assert "AKIAINSTANCE" in aws.proxy.calls[-1].request.headers["Authorization"]


@pytest.mark.usefixtures("no_other_credentials")
def test_what_the_metadata_service_answered_is_told(aws: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what to do."""
    with _metadata([403] * 100) as url:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        own = {"credentials_source": "env_or_profile", "access_key_id": None, "secret_access_key": None}
        with (
            pytest.raises(errors.CpiError, match=r"its last answer: HTTP 403.*instance profile"),
            cpi.connect(aws.config(**own)) as cloud,
        ):
            cloud.has_disk("vol-0123456789abcdef0")  # type: ignore[arg-type]  # its CID


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId", "AuthFailure"])
def test_credentials_of_a_role_that_are_refused_are_asked_for_anew_once(aws: Lab, code: str) -> None:
    """Revoked in the middle of a call: nothing fails, nothing is left."""
    role = "arn:aws:iam::123456789012:role/cpi"
    with cpi.connect(aws.config(role_arn=role)) as cloud:
        aws.proxy.inject(Rule("CreateVolume", effects.decided(lambda _: refusal(code, "revoked", 401)), times=1))
        disk_cid = cloud.create_disk(MiB(1024), {"availability_zone": ZONES[0]})
    assert aws.proxy.counts()["AssumeRole"] == 2
    assert [item["VolumeId"] for item in aws.volumes()] == [disk_cid]


def test_keys_of_the_configuration_that_are_refused_are_told_at_once(aws: Lab) -> None:
    """There are no others."""
    aws.proxy.inject(Rule("CreateVolume", effects.decided(lambda _: refusal("AuthFailure", "no", 401))))
    with cpi.connect(aws.config()) as cloud, pytest.raises(errors.CloudError, match="check the keys"):
        cloud.create_disk(MiB(1024), {"availability_zone": ZONES[0]})
    assert aws.proxy.counts()["CreateVolume"] == 1


def test_an_encoded_message_is_in_the_log(aws: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """The answer has no room for it, and who administers the account can read it."""
    text = "You are not authorized. Encoded authorization failure message: aBcD-123_x"

    def denied(_: Request) -> Answer:
        return refusal("UnauthorizedOperation", text, 403)

    aws.proxy.inject(Rule("CreateVolume", effects.decided(denied)))
    with caplog.at_level(logging.WARNING), cpi.connect(aws.config()) as cloud, pytest.raises(errors.CloudError) as caught:
        cloud.create_disk(MiB(1024), {"availability_zone": ZONES[0]})
    assert "aBcD-123_x" not in caught.value.message
    assert "decode-authorization-message` tells why: aBcD-123_x" in caplog.text
