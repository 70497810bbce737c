"""PostgreSQL as operators have it: a role of least rights, TLS that is checked, an encoding of another time."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from dbos import _sys_db
from sqlalchemy.exc import OperationalError

from cpi.contract import errors
from cpi.contract.units import MiB
from cpi.durable.database import database
from cpi.kit.waiting import wait_until
from cpi.migration.durable import workflow
from cpi.migration.durable.entry import Entry
from cpi.migration.durable.records import Standing
from cpi.migration.report import Strategy
from fixtures.certificates import Authority
from fixtures.postgresql import Server, program, server
from tests.house.source import ROOT
from tests.migration.database_vm import MakeVm

pytestmark = pytest.mark.skipif(program("postgres") is None, reason="needs the Debian package postgresql")

_SECONDS = 90.0


@pytest.fixture(scope="module")
def made() -> Iterator[Server]:
    """A server of this module's own."""
    with server() as running:
        yield running


def _say(url: str, *statements: LiteralString) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements[:-1]:
            connection.execute(statement)
        cursor = connection.execute(statements[-1])
        return cursor.fetchall() if cursor.description else []


def _documented() -> list[LiteralString]:
    """The statements of the page that operators read."""
    page = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
    block = page.partition("```sql\n")[2].partition("```")[0]
    return [statement.strip() for statement in block.split(";") if statement.strip()]


def test_a_role_of_least_rights_moves_a_disk(made: Server, make_vm: MakeVm, config: Path) -> None:
    """The one of the documentation: it owns a database of its own, and can neither make others nor read them."""
    create_role, create_database, *rest = _documented()
    _say(made.url(), create_role, "ALTER ROLE moves_cpi PASSWORD 'a-pass-word'")
    _say(made.url(), create_database)
    _say(made.url("cpi"), *rest)
    url = made.url("cpi", "moves_cpi", "a-pass-word", sslmode="verify-full", sslrootcert=str(made.ca))
    vm = make_vm(64, 1)
    with workflow.Engine(database(url), pytest.fail) as engine:
        move_id = engine.start(Entry(str(config), vm.vm_cid, vm.disk_cid, MiB(96), strategy=Strategy.COPY))
        wait_until(lambda: engine.book.move(move_id).standing.is_over and engine.is_idle, move_id, deadline_seconds=_SECONDS)
        record = engine.book.move(move_id)
        assert record.standing is Standing.MOVED, record.outcome
        sessions = _say(
            made.url(), "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'moves_cpi'"
        )
        assert sessions == [(True,)]
    assert record.outcome is not None
    assert record.outcome.report is not None
    vm.disk_cid = record.outcome.report.disk_cid
    for forbidden in ("CREATE DATABASE other", "CREATE ROLE other", "SELECT pg_read_file('/etc/passwd')"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            _say(url, forbidden)


def test_a_server_that_nobody_vouches_for_is_not_spoken_to(made: Server, tmp_path: Path) -> None:
    """With sslmode=verify-full, as documented: another authority, or another name."""
    other = tmp_path / "other-ca.pem"
    other.write_text(Authority().certificate)
    wrong_name = made.url(sslmode="verify-full", sslrootcert=str(made.ca)).replace("@127.0.0.1:", "@localhost:")
    for url in (made.url(sslmode="verify-full", sslrootcert=str(other)), wrong_name):
        with pytest.raises((errors.CloudError, errors.CpiError), match=r"certificate|SSL error") as caught:
            database(url).locks(pytest.fail)
        assert "@127" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_of_another_encoding_does(made: Server, config: Path, encoding: str) -> None:
    """As some have that were upgraded for twenty years: psycopg gives bytes for texts there unless it is told otherwise."""
    name = encoding.lower()
    statements: dict[str, LiteralString] = {
        "SQL_ASCII": "CREATE DATABASE sql_ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
        "LATIN1": "CREATE DATABASE latin1 ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
    }
    _say(made.url(), statements[encoding])
    with workflow.Engine(database(made.url(name)), pytest.fail) as engine:
        move_id = engine.start(Entry(str(config), *_nothing()))
        wait_until(lambda: engine.book.move(move_id).standing.is_over and engine.is_idle, move_id, deadline_seconds=_SECONDS)
        record = engine.book.move(move_id)
    assert record.standing is Standing.FAILED
    assert record.outcome is not None
    assert "vm-0" in record.outcome.message
    assert json.loads(config.read_text())


def _nothing() -> tuple[Any, Any, Any]:
    return "vm-0", "disk-0", MiB(1)


def test_a_full_disk_of_postgresql_is_not_waited_for() -> None:
    """The jobs are down meanwhile; what passes by itself, as too many sessions, is waited for as ever."""

    def failure(kind: type[psycopg.OperationalError]) -> OperationalError:
        return OperationalError("INSERT", {}, kind("no"))

    passes = vars(_sys_db)["retriable_postgres_exception"]
    assert passes(failure(psycopg.errors.TooManyConnections))
    assert not passes(failure(psycopg.errors.DiskFull))
