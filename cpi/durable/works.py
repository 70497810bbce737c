"""The works that a database knows, read and marked; runs nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

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
        return [_row(one) for one in found]

    def attributes(self, work_id: str) -> Mapping[str, Any]:
        """What a work was marked with; nothing if there is none of that id."""
        found = self._source.list_workflows(workflow_ids=[work_id], load_input=False, load_output=False)
        return next((one.attributes or {} for one in found), {})

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
        argument=kept.input["args"][0] if kept.input else {},
        executor_id=str(kept.executor_id or ""),
        created=(kept.created_at or 0) / 1000,
        is_open=kept.status in _OPEN,
        answer=kept.output,
        fault=str(kept.error or ""),
        is_queued=kept.status == ENQUEUED,
        attributes=kept.attributes or {},
    )
