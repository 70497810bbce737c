"""From Google's words to the director's errors."""

from types import SimpleNamespace
from typing import Any

import pytest

from cpi.contract import errors as contract
from cpi_drivers.google.api import errors
from cpi_drivers.google.properties import VmProperties
from cpi_drivers.google.vms import creation
from cpi_drivers.google.vms.agent_settings import LARGEST, initial_metadata

_PLACE = "projects/p/zones/z"


@pytest.mark.parametrize(
    ("status", "reason", "message", "kind"),
    [
        (404, "notFound", f"The resource '{_PLACE}/instances/x' was not found", contract.VMNotFound),
        (404, "notFound", f"The resource '{_PLACE}/disks/x' was not found", contract.DiskNotFound),
        (404, "notFound", "The resource 'projects/p/regions/r/subnetworks/x' was not found", contract.NetworkNotFound),
        (404, "notFound", "The resource 'projects/p/global/images/x' was not found", errors.Missing),
        (409, "alreadyExists", "The resource already exists", errors.Exists),
        (400, "resourceInUseByAnotherResource", "used", errors.InUse),
        (412, "conditionNotMet", "stale", errors.Stale),
        (403, "quotaExceeded", "Quota 'CPUS' exceeded", errors.QuotaReached),
        (403, "rateLimitExceeded", "slow down", errors.Throttled),
        (429, "", "slow down", errors.Throttled),
        (403, "forbidden", "no", errors.Denied),
        (401, "authError", "who?", errors.Denied),
        (503, "", "", errors.AnswerLost),
        (500, "somethingNew", "", errors.AnswerLost),
        (400, "invalid", "Invalid value", errors.Refused),
    ],
)
def test_what_a_call_was_refused_with(status: int, reason: str, message: str, kind: type[contract.Error]) -> None:
    """The reason decides, then the HTTP status; what is missing is told by its path."""
    error = errors.refusal("compute.disks.get", status, reason, message)
    assert isinstance(error, kind)
    assert type(error) is kind or kind.__module__ != errors.__name__
    assert "compute.disks.get" in error.message


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", errors.NoCapacity),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", errors.NoCapacity),
        ("QUOTA_EXCEEDED", errors.QuotaReached),
        ("RESOURCE_NOT_FOUND", errors.Missing),
        ("IP_IN_USE_BY_ANOTHER_RESOURCE", errors.InUse),
        ("INTERNAL_ERROR", errors.AnswerLost),
        ("SOMETHING_NEW", errors.Refused),
    ],
)
def test_what_an_operation_failed_with(code: str, kind: type[errors.Refused]) -> None:
    """Its own words are told."""
    error = errors.failed("instances.insert", {"error": {"errors": [{"code": code, "message": "as Google has it"}]}})
    assert type(error) is kind
    assert f"({code}): as Google has it" in error.message


def test_every_kind_is_one_of_the_ten() -> None:
    """No other name can reach the wire."""
    kinds: set[type[contract.Error]] = {kind for _, kind, _ in errors.TABLE}
    kinds |= {errors.VmMissing, errors.DiskMissing, errors.NetworkMissing, errors.NoRoom, errors.NotAttached}
    assert {kind.wire_name for kind in kinds} <= {error.wire_name for error in contract.TEN}


@pytest.mark.parametrize("clean", [False, True], ids=["something is left", "nothing is left"])
@pytest.mark.parametrize("why", [errors.NoCapacity("none"), errors.Unreached("no connection"), contract.CloudError("late")])
def test_what_may_pass_is_tried_again_only_if_nothing_is_left(why: contract.CloudError, *, clean: bool) -> None:
    """A second VM beside what is left of the first would take its address."""
    wish: Any = SimpleNamespace(properties=VmProperties())
    failed = creation._failed(wish, why, clean=clean)
    assert isinstance(failed, contract.VMCreationFailed)
    assert failed.ok_to_retry is clean
    assert ("could not all be removed" in failed.message) is not clean


def test_settings_of_just_256_kib_are_taken() -> None:
    """One byte more, and Google would refuse the VM."""
    room = LARGEST - len('{"k":""}')
    settings, _ = initial_metadata({"k": "x" * room}, "vm", [])
    assert len(settings["value"]) == LARGEST
    with pytest.raises(contract.CpiError, match="Google takes 262144"):
        initial_metadata({"k": "x" * (room + 1)}, "vm", [])
