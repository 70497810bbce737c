"""The engine: DBOS keeps what each step of a work answered, so that whoever takes it up goes on from there.

The only file that knows DBOS. The version is that of the format in which works are kept, not the program's: so a newer
program finishes what an older one began. Every process has an executor id of its own and holds a lock of that name while
it lives; whoever finds a lock free takes up what its executor had under way. A work is begun once for its id, however many
processes ask for it at the same time.
"""

import contextlib
import functools
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from cpi.contract import errors
from cpi.durable.database import Database
from cpi.durable.locks import executor_lock
from cpi.durable.works import Works
from cpi.kit.redaction import scrubbed

try:
    from dbos import (
        DBOS,
        DBOSClient,
        DBOSPortableJSONSerializer,
        SetWorkflowAttributes,
        SetWorkflowID,
        WorkflowSerializationFormat,
        _sys_db,
        error,
    )
    from dbos._serialization import DefaultSerializer
    from sqlalchemy.exc import SQLAlchemyError
except ImportError as missing:
    raise errors.CpiError("durable work needs DBOS; install it with: pip install 'multicpi[durable]'") from missing

from cpi.durable import sqlite_clock

sqlite_clock.be_told_of_connections()

T = TypeVar("T")

NotKept = SQLAlchemyError
"""What step raises if the answer of call could not be written down."""


def _refuse_pickle(_serializer: DefaultSerializer, _kept: str) -> Any:
    """A row says by itself how it is read, and pickle runs what it holds: whoever can write the database would run code here."""
    raise ValueError("it is pickled, and a pickle is not read")


_DISK_FULL: Final = "53100"
_passes: Callable[[Exception], bool] = vars(_sys_db)["retriable_postgres_exception"]


def _passes_soon(failure: Exception) -> bool:
    """A full disk does not pass by itself, and DBOS would ask for ever what it was not let write, with the jobs down."""
    return _passes(failure) and getattr(getattr(failure, "orig", None), "sqlstate", None) != _DISK_FULL


vars(_sys_db)["retriable_postgres_exception"] = _passes_soon
DefaultSerializer.deserialize = _refuse_pickle  # type: ignore[method-assign, assignment]  # DBOS picks it for a row that asks for it
logging.getLogger("dbos").setLevel(logging.CRITICAL)  # rows that cannot be read are told by those who list them

Work = Callable[[dict[str, Any]], dict[str, Any]]
"""From plain values to plain values. Everything it does to the world it does in steps."""

POLL_SECONDS: Final = 0.5
"""How often a queue is looked at."""

_NAME: Final = "multicpi"
_AT_ONCE: Final = 4
_WATCH_SECONDS: Final = 2.0


def work(name: str) -> Callable[[Work], Work]:
    """Make a function a work that is kept under this name."""
    keeping = DBOS.workflow(name=name, max_recovery_attempts=None, serialization_type=WorkflowSerializationFormat.PORTABLE)

    def made(function: Work) -> Work:
        @functools.wraps(function)
        def done(argument: dict[str, Any]) -> dict[str, Any]:
            try:
                with _without_secrets():
                    return function(argument)
            except SQLAlchemyError as error:
                if _on_lost is not None:  # it would stay under way for ever, for nothing can be written down of it
                    _on_lost(f"what was done cannot be written down: {_reason(error)}")
                raise

        return keeping(done)

    return made


def step(name: str, call: Callable[[], Any], /) -> Any:
    """The answer of call; what was kept of it if the work that is under way had it done already."""

    def made() -> Any:
        with _without_secrets():
            return call()

    return DBOS.run_step({"name": name}, made)


@contextlib.contextmanager
def _without_secrets() -> Iterator[None]:
    """What an exception says is kept, as whoever raised it said it: our own errors alone are clean from the beginning."""
    try:
        yield
    except Exception as error:
        error.args = tuple(scrubbed(part) if isinstance(part, str) else part for part in error.args)
        raise


def work_id() -> str:
    """The id of the work under way."""
    if DBOS.workflow_id is None:
        raise errors.CpiError("no work is under way here")
    return DBOS.workflow_id


_on_lost: Callable[[str], None] | None = None


def unless_closed(call: Callable[..., T]) -> Callable[..., T | None]:
    """For what only tells, or asks: a thread that does so while the engine is closed must not break on it."""

    def called(*values: Any) -> T | None:
        with contextlib.suppress(error.DBOSException, SQLAlchemyError):
            return call(*values)
        return None

    return called


class Executor:
    """One process among those that share a database. There is one in a process at a time."""

    def __init__(
        self, kept: Database, version: str, on_lost: Callable[[str], None], *, queues: Sequence[str] = (), works: bool = False
    ) -> None:
        """version is that of what is kept. on_lost is told that others take this process for dead: it has to end at once.

        works takes what is in the queues too.
        """
        global _on_lost  # noqa: PLW0603 - the engine finds works by their names, so they find it here
        kept.prepare()
        _on_lost = on_lost
        self._kept = kept
        self.executor_id = f"{os.uname().nodename}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.locks = kept.locks(on_lost)
        self.locks.hold(executor_lock(self.executor_id))
        self.works = Works(DBOS)
        self._version = version
        self._closing = threading.Event()
        self._watch = threading.Thread(target=self._watched, name="durable watch", daemon=True)
        self._launch = partial(_launch, kept, self.executor_id, version, queues, works=works)

    def launch(self) -> None:
        """Open the database. From now on works may begin here: what they need has to be whole. Raises CpiError."""
        self._launch()

    def watch(self) -> None:
        """Take up what dead processes left: now, and from now on."""
        self.recover()
        self._watch.start()

    def begin(self, work: Work, work_id: str, argument: Mapping[str, Any]) -> None:
        """Begin a work here, unless one of that id was ever begun anywhere."""
        with _readable(self._kept), SetWorkflowID(work_id):
            DBOS.start_workflow(work, dict(argument))

    def enqueue(
        self, queue: str, work: Work, work_id: str, argument: Mapping[str, Any], marks: Mapping[str, Any] | None = None
    ) -> None:
        """Leave a work to whoever takes what is in a queue, unless one of that id was ever begun anywhere."""
        marked = SetWorkflowAttributes(dict(marks)) if marks else contextlib.nullcontext()
        with _readable(self._kept), SetWorkflowID(work_id), marked:
            DBOS.enqueue_workflow(queue, work, dict(argument))

    def recover(self) -> list[str]:
        """Take up what dead processes left. The ids."""
        others = self.works.executors(self._version) - {self.executor_id}
        dead = sorted(other for other in others if self.locks.is_free(executor_lock(other)))
        if not dead:
            return []
        found = DBOS._recover_pending_workflows(dead)  # noqa: SLF001 - not in DBOS's public face, and the only way
        return [handle.workflow_id for handle in found]

    def close(self, is_idle: Callable[[], bool], patience_seconds: int = 0) -> None:
        """Take up no more, give what is under way here so long to end, and leave the rest to others.

        A step that is still under way then cannot be stopped. So nobody is told that this process is dead before it is.
        """
        self._closing.set()
        if self._watch.is_alive():
            self._watch.join()
        DBOS.destroy(workflow_completion_timeout_sec=0 if is_idle() else patience_seconds)
        if is_idle():
            self.locks.close()

    def _watched(self) -> None:
        while not self._closing.wait(_WATCH_SECONDS):
            with contextlib.suppress(error.DBOSException, SQLAlchemyError):  # the next time, then
                self.recover()


def works_of(kept: Database) -> Works:
    """The works of a database, to look at. Raises CpiError if it cannot be read."""
    with _readable(kept):
        client = DBOSClient(
            system_database_url=kept.url,
            serializer=DBOSPortableJSONSerializer(),
            application_name=_NAME,
            retry_connection_errors=False,
        )
        client.list_workflows(limit=1, load_input=False, load_output=False)
    return Works(_Asked(kept, client))


class _Asked:
    """A client whose database may go away between two questions."""

    def __init__(self, kept: Database, client: DBOSClient) -> None:
        self._kept = kept
        self._client = client

    def __getattr__(self, name: str) -> Any:
        ask = getattr(self._client, name)

        def asked(*values: Any, **named: Any) -> Any:
            with _readable(self._kept):
                return ask(*values, **named)

        return asked


@contextlib.contextmanager
def _readable(kept: Database) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, ValueError) as error:
        raise errors.CpiError(f"{kept.path or 'the database'} cannot be used: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(error.__cause__ or error).partition("\n")[0]


def _launch(kept: Database, executor_id: str, version: str, queues: Sequence[str], *, works: bool) -> None:
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
    DBOS.listen_queues(queues if works else ())
    with _readable(kept), contextlib.ExitStack() as made:
        made.callback(DBOS.destroy)
        DBOS.launch()
        for queue in queues:
            DBOS.register_queue(queue, worker_concurrency=_AT_ONCE, polling_interval_sec=POLL_SECONDS)
        made.pop_all()
