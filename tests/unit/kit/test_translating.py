"""An SDK's exceptions become the contract's by a table."""

from collections.abc import Callable

import pytest

from cpi.contract import errors
from cpi.kit.translating import Table, translated


class SdkError(Exception):
    """Of some SDK."""


class SdkNotFoundError(SdkError):
    """More specific."""


class SdkGoneError(SdkNotFoundError):
    """More specific still, and not in the table."""


TABLE: Table = {
    SdkError: lambda error: errors.CloudError(f"the cloud said: {error}"),
    SdkNotFoundError: lambda error: errors.VMNotFound(str(error)),
}


def _raise(error: BaseException) -> Callable[[], None]:
    def call() -> None:
        with translated(TABLE):
            raise error

    return call


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SdkError("x"), errors.CloudError),
        (SdkNotFoundError("x"), errors.VMNotFound),
        (SdkGoneError("x"), errors.VMNotFound),
    ],
)
def test_the_most_specific_class_decides(error: SdkError, kind: type[errors.Error]) -> None:
    """And the SDK's own exception is kept as the cause."""
    with pytest.raises(errors.Error) as raised:
        _raise(error)()
    assert type(raised.value) is kind
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyError("x"), errors.DiskNotFound("x"), KeyboardInterrupt()])
def test_what_the_table_does_not_name_passes_as_it_is(error: BaseException) -> None:
    """The contract's own errors above all."""
    with pytest.raises(type(error)) as raised:
        _raise(error)()
    assert raised.value is error


def test_success_passes_too() -> None:
    """Nothing is done to it."""
    with translated(TABLE):
        pass
