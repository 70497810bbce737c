"""The other side of a move between clouds: its cloud, and the VM there once it is made."""

import contextlib
from types import TracebackType
from typing import Final

from cpi.agent.protocol import Deadlines
from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.migration.between.crossing import Crossing, opened
from cpi.migration.between.destination import Destination
from cpi.migration.disks import Site
from cpi.migration.late_site import Connect, LateSite

_NOT_MADE: Final = VmCid("not-made-yet")


class FarSite(LateSite):
    """A VM that may not be made yet."""

    def __init__(
        self, connect: Connect, to: Destination, token: str, deadlines: Deadlines | None = None, move_id: str | None = None
    ) -> None:
        super().__init__(connect, to.reach(token), _NOT_MADE, deadlines, move_id)
        self.to = to
        self._crossings = contextlib.ExitStack()
        self._crossing: Crossing | None = None

    def at(self, vm_cid: VmCid | None) -> "FarSite":
        """The same, of the VM that was made. Raises CloudError if there is none."""
        if vm_cid is None:
            raise errors.CloudError("there is no VM on the other cloud yet")
        self.vm_cid = vm_cid
        self.is_ours = True
        return self

    def crossing(self, old: Site, move_id: str) -> Crossing:
        """What runs scripts in both guests; opened once, and anew after leave_guest."""
        if self._crossing is None:
            with contextlib.ExitStack() as made:
                self._crossing = made.enter_context(opened(old, self, self.to, move_id))
                self._crossings.push(made.pop_all())
        return self._crossing

    def leave_guest(self) -> None:
        """Let go of the shell, and of the way that leads here from the other guest."""
        self._crossing = None
        try:
            self._crossings.pop_all().close()
        finally:
            super().leave_guest()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._crossings.close()
        finally:
            super().__exit__(kind, error, trace)
