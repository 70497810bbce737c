"""A director that holds credentials of google.auth hands them over."""

import logging
from typing import Any

import pytest
from google.auth.credentials import Credentials
from google.auth.exceptions import RefreshError
from google.oauth2 import service_account

import cpi
from cpi.contract.ids import VmCid
from fixtures.clouds.google import accounts
from fixtures.clouds.google.lab import Lab, service_account_key
from tests.drivers.google.conftest import Helper


class Renewing(Credentials):
    """The caller's own kind: each refresh brings a token; the first one is old already."""

    refreshed = 0

    def refresh(self, request: Any) -> None:
        """A token."""
        self.refreshed += 1
        self.token = accounts.INSTANCE_TOKEN


def without_login(google: Lab) -> dict[str, Any]:
    """A configuration without a key."""
    config = google.config()
    del config["cloud"]["properties"]["google"]["json_key"]
    return config


def tokens(google: Lab) -> set[str]:
    """Those that calls carried."""
    return {call.request.headers["Authorization"].removeprefix("Bearer ") for call in google.proxy.calls}


def test_a_vm_with_a_disk_by_the_callers_credentials(google: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """Renewed where they are, by the driver's connection; no log shows the token."""
    session = Renewing()  # type: ignore[no-untyped-call]  # the SDK has no types
    with caplog.at_level(logging.DEBUG), cpi.connect(without_login(google), session=session) as cloud:
        helper = Helper(google, cloud)
        vm, disk_cid = helper.vm(), helper.disk()
        cloud.attach_disk(vm.cid, disk_cid)
        assert list(cloud.get_disks(vm.cid)) == [disk_cid]
        cloud.detach_disk(vm.cid, disk_cid)
        cloud.delete_vm(vm.cid)
        cloud.delete_disk(disk_cid)
    assert tokens(google) == {accounts.INSTANCE_TOKEN}
    assert session.refreshed == 1
    assert accounts.INSTANCE_TOKEN not in caplog.text


def test_a_service_account_without_scopes_gets_those_that_the_driver_needs(google: Lab) -> None:
    """The caller's object stays as it is."""
    key = service_account_key(google.url)
    session = service_account.Credentials.from_service_account_info(key)  # type: ignore[no-untyped-call]  # as above
    with cpi.connect(without_login(google), session=session) as cloud:
        cloud.has_vm(VmCid("nothing"))
    assert tokens(google) == {accounts.OAUTH_TOKEN}
    assert session.scopes is None


def test_another_service_account_is_impersonated_with_them(google: Lab) -> None:
    """impersonate_service_account of the configuration lies on top."""
    config = without_login(google)
    config["cloud"]["properties"]["google"]["impersonate_service_account"] = "other@a-project.iam.gserviceaccount.com"
    session = Renewing()  # type: ignore[no-untyped-call]  # as above
    with cpi.connect(config, session=session) as cloud:
        cloud.has_vm(VmCid("nothing"))
    assert google.proxy.calls[-1].request.headers["Authorization"] == f"Bearer {accounts.IMPERSONATED_TOKEN}"


def test_credentials_that_cannot_be_renewed_are_reported(google: Lab) -> None:
    """With a word about the session, not about json_key."""

    class Ended(Renewing):
        def refresh(self, request: Any) -> None:
            raise RefreshError("the grant was revoked")  # type: ignore[no-untyped-call]  # as above

    session = Ended()  # type: ignore[no-untyped-call]  # as above
    with cpi.connect(without_login(google), session=session) as cloud, pytest.raises(cpi.Error) as caught:
        cloud.has_vm(VmCid("nothing"))
    assert "the grant was revoked" in caught.value.message
    assert "check the session that was given to cpi.connect" in caught.value.message
