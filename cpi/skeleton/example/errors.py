"""From the cloud's errors to the director's ten: one table."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cpi.contract import errors


class Refused(Exception):
    """What the cloud's API answers instead of a result."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


_TABLE: Final[dict[str, type[errors.Error]]] = {
    "NoSuchVm": errors.VMNotFound,
    "NoSuchDisk": errors.DiskNotFound,
    "NotAttached": errors.DiskNotAttached,
    "NoRoom": errors.NoDiskSpace,
}


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Whatever the cloud refuses in this block is one of the ten; a code that is not in the table is a CloudError."""
    try:
        yield
    except Refused as error:
        raise _TABLE.get(error.code, errors.CloudError)(f"{what}: {error}") from error
