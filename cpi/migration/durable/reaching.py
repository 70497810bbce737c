"""From an entry to a cloud and an agent to talk to, opened when they are first needed."""

from functools import partial
from types import TracebackType

from cpi import connecting
from cpi.agent.protocol import Deadlines
from cpi.contract.ids import VmCid
from cpi.migration.between.far import FarSite
from cpi.migration.durable.entry import Entry
from cpi.migration.late_site import LateSite


class EntrySite(LateSite):
    """The VM of an entry. A configuration that cannot be read is told by whoever asks first."""

    def __init__(self, entry: Entry, deadlines: Deadlines | None = None, move_id: str | None = None) -> None:
        """With the id of a move, no user that any of its processes made in a guest is left there at its end."""
        super().__init__(partial(connecting.connect, entry.config), entry.agent, VmCid(entry.vm), deadlines, move_id)
        if entry.to is not None:
            connect = partial(connecting.connect, entry.to.config)
            self.far = FarSite(connect, entry.to, entry.order(move_id or "").token, deadlines, move_id)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if self.far is not None:
                self.far.__exit__(kind, error, trace)
        finally:
            super().__exit__(kind, error, trace)
