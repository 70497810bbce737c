"""The engine: DBOS keeps what each step of a work answered, so that whoever takes it up goes on from there.

Every process has an executor id of its own and holds a lock of that name while it lives; whoever finds a lock free takes up
what its executor had under way. A work is begun once for its id, however many processes ask for it at the same time.
"""

import os
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from cpi.contract import errors
from cpi.durable.database import Database
from cpi.durable.locks import executor_lock

try:
    from dbos import (
        DBOS,
        DBOSClient,
        DBOSPortableJSONSerializer,
        SetWorkflowID,
        WorkflowSerializationFormat,
    )
except ImportError as missing:
    raise errors.CpiError("durable work needs DBOS; install it with: pip install 'multicpi[migration]'") from missing

Work = Callable[[dict[str, Any]], dict[str, Any]]
"""From plain values to plain values. Everything it does to the world it does in steps."""

_NAME: Final = "multicpi"
_PENDING: Final = "PENDING"
_OPEN: Final = frozenset({_PENDING, "ENQUEUED"})
_WATCH_SECONDS: Final = 2.0


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


def durable(name: str) -> Callable[[Work], Work]:
    """Make a function a work that is kept under this name."""
    return DBOS.workflow(name=name, max_recovery_attempts=None, serialization_type=WorkflowSerializationFormat.PORTABLE)


def step(name: str, call: Callable[[], Any], /) -> Any:
    """The answer of call; what was kept of it if the work that is under way had it done already."""
    return DBOS.run_step({"name": name}, call)


def work_id() -> str:
    """The id of the work under way."""
    if DBOS.workflow_id is None:
        raise errors.CpiError("no work is under way here")
    return DBOS.workflow_id


class Executor:
    """One process among those that share a database. There is one in a process at a time."""

    def __init__(self, kept: Database, version: str, on_lost: Callable[[str], None]) -> None:
        """version is that of what is kept. on_lost is told that others take this process for dead: it has to end at once."""
        kept.prepare()
        self.executor_id = f"{os.uname().nodename}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.locks = kept.locks(on_lost)
        self.locks.hold(executor_lock(self.executor_id))
        self._version = version
        self._closing = threading.Event()
        _launch(kept, self.executor_id, version)
        self._watch = threading.Thread(target=self._watched, name="durable watch", daemon=True)

    def watch(self) -> None:
        """Take up what dead processes left: now, and from now on."""
        self.recover()
        self._watch.start()

    def begin(self, work: Work, work_id: str, argument: Mapping[str, Any]) -> None:
        """Begin a work here, unless one of that id was ever begun anywhere."""
        with SetWorkflowID(work_id):
            DBOS.start_workflow(work, dict(argument))

    def rows(self, name: str) -> list[Row]:
        """The works of that name, in the order of their making."""
        return _rows(DBOS, name)

    def recover(self) -> list[str]:
        """Take up what dead processes left. The ids."""
        found = DBOS.list_workflows(status=_PENDING, app_version=self._version, load_input=False, load_output=False)
        others = {row.executor_id for row in found if row.executor_id} - {self.executor_id}
        dead = sorted(other for other in others if self.locks.is_free(executor_lock(other)))
        if not dead:
            return []
        return [handle.workflow_id for handle in DBOS._recover_pending_workflows(dead)]  # noqa: SLF001 - the only way

    def close(self) -> None:
        """Take up no more; what is under way here is left to be taken up by others."""
        self._closing.set()
        if self._watch.is_alive():
            self._watch.join()
        DBOS.destroy(workflow_completion_timeout_sec=0)
        self.locks.close()

    def _watched(self) -> None:
        while not self._closing.wait(_WATCH_SECONDS):
            self.recover()


class Reader:
    """A database to look at; does no work."""

    def __init__(self, kept: Database) -> None:
        """Raises CpiError if there is none."""
        if not kept.exists():
            raise errors.CpiError(f"{kept.path} does not exist: nothing was ever kept in it")
        self._client = DBOSClient(
            system_database_url=kept.url,
            serializer=DBOSPortableJSONSerializer(),
            application_name=_NAME,
            retry_connection_errors=False,
        )

    def rows(self, name: str) -> list[Row]:
        """The works of that name, in the order of their making."""
        return _rows(self._client, name)

    def close(self) -> None:
        """Let go of the database."""
        self._client.destroy()


def _launch(kept: Database, executor_id: str, version: str) -> None:
    DBOS(
        config={
            "name": _NAME,
            "system_database_url": kept.url,
            "executor_id": executor_id,
            "application_version": version,
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "CRITICAL",
            "enable_otlp": False,
            "notification_listener_polling_interval_sec": 0.2,
        }
    )
    DBOS.listen_queues(())
    DBOS.launch()


def _rows(source: Any, name: str) -> list[Row]:
    """source is DBOS or its client: both have the same words for what is asked here."""
    return [
        Row(
            work_id=row.workflow_id,
            argument=row.input["args"][0] if row.input else {},
            executor_id=str(row.executor_id),
            created=(row.created_at or 0) / 1000,
            is_open=row.status in _OPEN,
            answer=row.output,
            fault=str(row.error or ""),
        )
        for row in source.list_workflows(name=name)
    ]
