"""No driver follows a redirect: whoever it leads to would get the password, the token or a signed call."""

from pathlib import Path

import pytest

import cpi
from cpi.contract import errors
from fixtures.proxy import Answer, Request
from fixtures.web_server import web_server
from tests.drivers.one_server import VMS, config_of

_SECRET = "a-secret-of-the-operator"  # noqa: S105 - made to be looked for


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
            cpi.connect(config_of(driver, url, tmp_path, _SECRET)) as cloud,
            pytest.raises((errors.CpiError, errors.CloudError)) as caught,
        ):
            cloud.has_vm(VMS[driver])
    assert asked == []
    assert str(status) in str(caught.value) or driver == "aws"  # botocore does not say which status it could not read
    assert _SECRET not in str(caught.value)
