"""The works that a database knows, read and marked; runs nothing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

K = TypeVar("K")
T = TypeVar("T")

PENDING: Final = "PENDING"
ENQUEUED: Final = "ENQUEUED"
"""How the engine calls what is under way, and what waits in a queue."""

_OPEN: Final = (PENDING, ENQUEUED)


class Row(msgspec.Struct, frozen=True):
    """One work, as it is kept."""

    work_id: str
    argument: Mapping[str, Any]
    executor_id: str
    created: float
    """Seconds since 1970."""

    is_open: bool
    answer: Mapping[str, Any] | None
    """What it returned; None while it is open, and if it ended by a fault."""

    fault: str
    is_queued: bool = False
    """Whether it is open because nobody has begun it yet."""

    attributes: Mapping[str, Any] = {}
    """What it was marked with."""


class Works:
    """The works of one database."""

    def __init__(self, source: Any) -> None:
        """source is DBOS or its client: both have the same words for what is asked here."""
        self._source = source
        self.unreadable: dict[str, str] = {}
        """The works that are none, by their ids: they were left out of what was asked for. Why."""

    def rows(
        self, name: str | None = None, *, ids: Sequence[str] | None = None, prefix: str | None = None, open_only: bool = False
    ) -> list[Row]:
        """The works of that name, with those ids, whose ids begin so, in the order of their making."""
        found = self._source.list_workflows(
            name=name,
            workflow_ids=None if ids is None else list(ids),
            workflow_id_prefix=prefix,
            status=list(_OPEN) if open_only else None,
        )
        return self.read(found, lambda one: str(one.workflow_id), _row)

    def read(self, found: Iterable[K], id_of: Callable[[K], str], reader: Callable[[K], T]) -> list[T]:
        """What can be read of them; the others are unreadable from now on. Whoever can write the database may have made them."""
        readable = []
        for one in found:
            try:
                readable.append(reader(one))
            except (msgspec.ValidationError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
                self.unreadable[id_of(one)] = str(error)
        return readable

    def attributes(self, work_id: str) -> Mapping[str, Any]:
        """What a work was marked with; nothing if there is none of that id."""
        found = self._source.list_workflows(workflow_ids=[work_id], load_input=False, load_output=False)
        return next((_mapping(one.attributes, "attributes") for one in found), {})

    def mark(self, work_id: str, attributes: Mapping[str, Any]) -> None:
        """Add to what it was marked with."""
        self._source.update_workflow_attributes(work_id, dict(attributes), merge=True)

    def executors(self, version: str) -> set[str]:
        """Who has something of this version under way, or had when it died."""
        found = self._source.list_workflows(status=PENDING, app_version=version, load_input=False, load_output=False)
        return {one.executor_id for one in found if one.executor_id}

    def close(self) -> None:
        """Let go of the database."""
        self._source.destroy()


def _row(kept: Any) -> Row:
    return Row(
        work_id=kept.workflow_id,
        argument=_argument(kept.input),
        executor_id=str(kept.executor_id or ""),
        created=(kept.created_at or 0) / 1000,
        is_open=kept.status in _OPEN,
        answer=None if kept.output is None else _mapping(kept.output, "output"),
        fault=str(kept.error or ""),
        is_queued=kept.status == ENQUEUED,
        attributes=_mapping(kept.attributes, "attributes"),
    )


def _argument(given: Any) -> Mapping[str, Any]:
    """What a work was begun with. What cannot be read is given as the text that is kept."""
    if not given:
        return {}
    return _mapping(_mapping(given, "inputs")["args"][0], "inputs")


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"its {what} cannot be read")
    return value or {}
