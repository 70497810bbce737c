"""That no secret is shown, in a log or in a message: callers write both into task logs that many people read."""

from collections.abc import Iterable

import pytest

from cpi.contract import errors
from cpi.testing.config_variants import with_unknown_keys
from cpi.testing.conformance.fixtures import ContractFixtures, Reconfigured, refused
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker

_CANARY = "canary-4e1f-never-shown"
_ENV = {
    "bosh": {
        "password": _CANARY,
        "blobstores": [{"provider": "s3", "options": {"access_key_id": "id", "secret_access_key": _CANARY}}],
    }
}


class SecretClauses(ContractFixtures):
    """Silence."""

    def test_create_vm_then_no_secret_is_shown(
        self, cloud: Ledger, make: Maker, secrets: frozenset[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither of the configuration nor of env, at any level of the log."""
        with caplog.at_level(0):
            cloud.delete_vm(make.vm(env=_ENV).cid)
        assert _shown(caplog.text, {*secrets, _CANARY}) == []

    def test_create_vm_raises_without_showing_a_secret(
        self, make: Maker, harness: Harness, secrets: frozenset[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Also when it fails."""
        with caplog.at_level(0), refused(errors.CloudError) as caught:
            make.vm(stemcell_cid=harness.absent.stemcell, env=_ENV)
        assert _shown(caplog.text + caught.value.message, {*secrets, _CANARY}) == []

    def test_connect_raises_cpi_error_without_showing_a_secret(
        self, harness: Harness, reconfigured: Reconfigured, secrets: frozenset[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        """A message about a faulty configuration does not quote the rest of it."""
        wrong = with_unknown_keys(harness.config)
        with caplog.at_level(0), refused(errors.CpiError) as caught, reconfigured(wrong) as cloud:
            cloud.has_vm(harness.absent.vm)
        assert _shown(caplog.text + caught.value.message, secrets) == []


def _shown(text: str, secrets: Iterable[str]) -> list[str]:
    return [f"a secret of {len(secret)} characters" for secret in secrets if secret in text]
