"""A lock that the processes of all machines see: the definition of a custom attribute, whose name a vCenter takes once."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Final

from cpi.contract import errors
from cpi.kit.waiting import wait_until
from cpi_drivers.vsphere.api.client import Client, vim
from cpi_drivers.vsphere.api.errors import Refused

_log = logging.getLogger(__name__)

_ABANDONED_SECONDS: Final = 120.0
_DEADLINE_SECONDS: Final = 600.0


@contextlib.contextmanager
def held(client: Client, name: str, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Held for the block, which lasts for seconds. What one holder has kept for two minutes is taken from it: it is dead."""
    manager = client.manager("customFieldsManager")
    full, seen = f"multicpi-lock-{name}", _Watch(clock)

    def take() -> int | None:
        try:
            key: int = client.call(manager, "AddCustomFieldDef", name=full, moType=vim.VirtualMachine).key
        except Refused as error:
            if error.fault != "DuplicateName":
                raise
        else:
            return key
        fields = client.read([manager], {vim.CustomFieldsManager: ("field",)})[manager].get("field", ())
        holder = next((field.key for field in fields if field.name == full), None)
        if holder is not None and seen.how_long(holder) > _ABANDONED_SECONDS:
            _log.warning("the lock %s was left by a process that died: it is taken away", full)
            _remove(client, holder)
        return None

    key = wait_until(take, f"the lock {full}", deadline_seconds=_DEADLINE_SECONDS, longest_pause_seconds=1.0)
    try:
        yield
    finally:
        _remove(client, key)


class _Watch:
    """How long one and the same holder has been seen."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._holder: int | None = None
        self._since = 0.0

    def how_long(self, holder: int) -> float:
        """Seconds since it was first seen."""
        if holder != self._holder:
            self._holder, self._since = holder, self._clock()
        return self._clock() - self._since


def _remove(client: Client, key: int) -> None:
    try:
        client.call(client.manager("customFieldsManager"), "RemoveCustomFieldDef", idempotent=True, key=key)
    except Refused as error:
        if error.fault not in {"NotFound", "InvalidArgument"}:
            raise errors.CloudError(f"a lock is left in the vCenter: {error.message}") from error
