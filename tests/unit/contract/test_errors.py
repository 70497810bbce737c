"""The ten errors that the director knows, and no eleventh."""

import pytest

from cpi.contract import errors
from cpi.contract.capability import Capability, refusal
from cpi.contract.cloud import Cloud

DIRECTORS = {
    "Bosh::Clouds::CpiError",
    "Bosh::Clouds::NotImplemented",
    "Bosh::Clouds::NotSupported",
    "Bosh::Clouds::CloudError",
    "Bosh::Clouds::VMNotFound",
    "Bosh::Clouds::NetworkNotFound",
    "Bosh::Clouds::NoDiskSpace",
    "Bosh::Clouds::DiskNotAttached",
    "Bosh::Clouds::DiskNotFound",
    "Bosh::Clouds::VMCreationFailed",
}
RETRIABLE = {errors.NoDiskSpace, errors.DiskNotAttached, errors.DiskNotFound, errors.VMCreationFailed}


def test_there_are_ten_with_the_directors_names() -> None:
    """The names are the interface."""
    assert set(errors.BY_WIRE_NAME) == DIRECTORS
    assert len(errors.TEN) == 10


def test_the_abstract_ones_cannot_be_raised() -> None:
    """They have no name on the wire."""
    with pytest.raises(TypeError, match="is abstract: raise one of the director's ten errors"):
        errors.Error("x")


@pytest.mark.parametrize("kind", errors.TEN)
def test_each_says_its_message_and_is_not_retried_unless_told(kind: type[errors.Error]) -> None:
    """An honest default: a repeat may make a second VM."""
    error = kind("why")
    assert (str(error), error.message, error.ok_to_retry) == ("why", "why", False)


@pytest.mark.parametrize("kind", [kind for kind in errors.TEN if kind in RETRIABLE])
def test_four_carry_whether_a_repeat_may_help(kind: type[errors.NoDiskSpace]) -> None:
    """As the director keeps it."""
    assert kind("why", ok_to_retry=True).ok_to_retry


@pytest.mark.parametrize("kind", [kind for kind in errors.TEN if kind not in RETRIABLE])
def test_six_do_not(kind: type[errors.Error]) -> None:
    """The director would drop it."""
    with pytest.raises(TypeError):
        kind("why", ok_to_retry=True)  # type: ignore[call-arg]  # that is the point


def test_a_drivers_own_error_goes_by_the_name_it_inherits() -> None:
    """So no other name can leak."""

    class QuotaExceeded(errors.VMCreationFailed):
        """Of some cloud."""

    assert QuotaExceeded("x").wire_name == "Bosh::Clouds::VMCreationFailed"


def test_whoever_catches_one_floor_catches_those_above() -> None:
    """NotSupported is a CpiError, VMNotFound a CloudError, and all are Errors."""
    assert {kind for kind in errors.TEN if issubclass(kind, errors.CpiError)} == {
        errors.CpiError,
        errors.NotImplemented,
        errors.NotSupported,
    }
    assert all(issubclass(kind, errors.CloudError) for kind in RETRIABLE)
    assert not issubclass(errors.CloudError, errors.CpiError)


@pytest.mark.parametrize("capability", Capability)
def test_a_missing_power_is_refused_as_the_director_takes_it_best(capability: Capability) -> None:
    """NotSupported makes it copy the disk; NotImplemented makes it pass over metadata and snapshots."""
    copied_instead = {Capability.RESIZE_DISK, Capability.UPDATE_DISK}
    error = refusal(capability, "local", "it is small")
    assert type(error) is (errors.NotSupported if capability in copied_instead else errors.NotImplemented)
    assert error.message.startswith("local ")
    assert ": it is small" in error.message


def test_every_power_covers_methods_of_the_contract_and_none_twice() -> None:
    """And each of these has a body that refuses."""
    covered = [method for capability in Capability for method in capability.methods]
    assert len(covered) == len(set(covered))
    assert all(callable(getattr(Cloud, method)) for method in covered)
    assert not Cloud.__abstractmethods__ & set(covered)
