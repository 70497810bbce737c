"""What has become of an instance: the VMs that replaced one another, and the tries under way. Pure."""

from collections.abc import Iterable

import msgspec

from cpi.contract.encoding import from_plain
from cpi.contract.ids import VmCid
from cpi.durable.works import Row
from cpi.resurrection.instance import Instance
from cpi.resurrection.report import Order, Report, Standing
from cpi.resurrection.sequence import replaced_before


class Try(msgspec.Struct, frozen=True):
    """One try to recreate an instance."""

    work_id: str
    order: Order
    executor_id: str
    is_open: bool
    report: Report | None
    """None while it is open."""


class Present(msgspec.Struct, frozen=True):
    """An instance as it stands now."""

    vm: VmCid
    agent_id: str | None
    under_way: Try | None
    """The try that is not over."""

    unfinished: Try | None
    """The last try, if it failed after it had made a VM: it has to be gone on with whatever an agent says."""

    ended: tuple[Try, ...]
    """Every try that is over, the newest last."""

    tries_for_vm: int
    """How many of them were to replace the VM it has now."""

    def recent(self, since: float) -> tuple[Try, ...]:
        """Those that did something, and ended since then."""
        return tuple(
            one for one in self.ended if one.report and one.report.standing is not Standing.ALIVE and one.report.ended >= since
        )


class History:
    """All tries that a database knows."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.unreadable: dict[str, str] = {}
        """What is no try, by its id, and why."""
        self._tries: dict[tuple[str, str], list[Try]] = {}
        for row in rows:
            try:
                one = _try(row)
            except msgspec.ValidationError as error:
                self.unreadable[row.work_id] = str(error)
                continue
            self._tries.setdefault((one.order.plugin, str(one.order.vm)), []).append(one)

    def present(self, instance: Instance, plugin: str) -> Present:
        """Where the instance stands, following who replaced whom from the VM that its file names."""
        vm, agent_id, ended, seen = instance.vm, instance.agent_id, [], set[VmCid]()
        while True:
            tries = self._tries.get((plugin, str(vm)), [])
            over = [one for one in tries if not one.is_open]
            ended += over
            under_way = next((one for one in tries if one.is_open), None)
            seen.add(vm)
            made = _made(over) if under_way is None else None
            if made is None or made.vm is None or made.vm in seen:
                break
            vm, agent_id = made.vm, made.agent_id
        return Present(vm, agent_id, under_way, _unfinished(ended), tuple(ended), len(over))

    def under_way(self, group: str) -> tuple[Try, ...]:
        """Every try of a group that is not over."""
        return tuple(one for tries in self._tries.values() for one in tries if one.is_open and one.order.group == group)

    def all(self) -> tuple[Try, ...]:
        """Every try."""
        return tuple(one for tries in self._tries.values() for one in tries)


def _made(over: list[Try]) -> Report | None:
    """The last try to replace a VM, if the VM it made stands in its place now."""
    report = over[-1].report if over else None
    return report if report is not None and replaced_before(report) else None


def _unfinished(ended: list[Try]) -> Try | None:
    """What failed without making a VM may have changed nothing: the old VM may be alive, and has to be judged anew."""
    last = ended[-1].report if ended else None
    return ended[-1] if last is not None and last.standing is Standing.FAILED and last.vm is not None else None


def _try(row: Row) -> Try:
    report = from_plain(row.answer, Report) if row.answer is not None else None
    if report is None and not row.is_open:
        report = Report(Standing.FAILED, row.created, message=row.fault or "ended by hand, in the database")
    return Try(row.work_id, from_plain(row.argument, Order), row.executor_id, row.is_open, report)
