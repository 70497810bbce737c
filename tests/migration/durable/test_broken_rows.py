"""The moves' database is not trusted: what is written there by others is neither run nor lets anybody down."""

import base64
import contextlib
import json
import pickle
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.durable.database import Database, database
from cpi.kit.waiting import wait_until
from cpi.migration.durable import workflow
from cpi.migration.durable.entry import Entry
from cpi.resurrection.durable.files import known_files
from cpi.resurrection.durable.history import History


class _Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self._path,))


def _pickled(path: Path) -> str:
    return base64.b64encode(pickle.dumps(_Bomb(path))).decode()


@pytest.fixture
def kept(tmp_path: Path) -> Database:
    """A database with one good move, which was refused."""
    made = database(f"sqlite:///{tmp_path}/moves.sqlite")
    config = tmp_path / "cpi.json"
    config.write_text("{}")
    with workflow.Engine(made, pytest.fail) as engine:
        engine.start(Entry(str(config), VmCid("vm-1"), DiskCid("disk-1"), MiB(64)), "good")
        wait_until(lambda: engine.book.move("good").standing.is_over and engine.is_idle, "it is refused", deadline_seconds=90)
    return made


def _copy(kept: Database, work_id: str, **columns: Any) -> None:
    """The good row once more, with other values."""
    assert kept.path is not None
    with contextlib.closing(sqlite3.connect(kept.path)) as connection, connection:
        connection.row_factory = sqlite3.Row
        row = dict(connection.execute("SELECT * FROM workflow_status WHERE workflow_uuid = 'good'").fetchone())
        row |= {"workflow_uuid": work_id, **columns}
        names = ", ".join(row)
        statement = f"INSERT INTO workflow_status ({names}) VALUES ({', '.join('?' * len(row))})"  # noqa: S608 - names of columns
        connection.execute(statement, list(row.values()))


def test_a_pickle_is_not_read_whatever_its_row_says(kept: Database, tmp_path: Path) -> None:
    """Neither by those who look nor by those who would take the move up, and its row is named."""
    evil = tmp_path / "evil"
    _copy(kept, "pickled", serialization="py_pickle", inputs=_pickled(evil), output=_pickled(evil), error=_pickled(evil))
    _copy(kept, "open", serialization="py_pickle", inputs=_pickled(evil), output=None, status="PENDING", executor_id="dead")
    book = workflow.open_book(kept)
    assert [record.move_id for record in book.moves()] == ["good"]
    assert set(book.unreadable) == {"pickled", "open"}
    with pytest.raises(errors.CpiError, match="the move pickled cannot be read"):
        book.move("pickled")
    book.close()
    with workflow.Engine(kept, pytest.fail) as engine:
        assert engine.recover() == []
        assert [record.move_id for record in engine.book.moves()] == ["good"]
    assert not evil.exists()


@pytest.mark.parametrize(
    "columns",
    [
        {"inputs": "garbage"},
        {"inputs": "7"},
        {"inputs": json.dumps({"positionalArgs": [7], "namedArgs": {}})},
        {"inputs": json.dumps({"positionalArgs": [{"colour": "red"}], "namedArgs": {}})},
        {"inputs": json.dumps({"positionalArgs": [], "namedArgs": {}})},
        {"output": "[1, 2]"},
        {"output": '{"standing": "odd"}'},
        {"attributes": "[1]"},
        {"attributes": '{"events": [7]}'},
        {"serialization": "unheard-of"},
    ],
)
def test_a_row_that_is_no_move_is_left_out_and_named(kept: Database, columns: dict[str, Any]) -> None:
    """The others are shown."""
    _copy(kept, "broken", **columns)
    book = workflow.open_book(kept)
    try:
        assert [record.move_id for record in book.moves()] == ["good"]
        assert "broken" in book.unreadable
        assert book.claimant("disk local:disk-1", "other") is None
        assert History(book._works.rows("move")).all() == ()
        assert known_files(book._works.rows("move")) == []
    finally:
        book.close()
