"""Locks that are free when their holder is gone, and a holder who knows it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from cpi.contract import errors
from cpi.durable.database import Database, database
from cpi.durable.locks import PostgresLocks
from cpi.kit.waiting import wait_until
from fixtures.hanging_relay import Relay, hanging_relay

pytestmark = pytest.mark.slow

_SECONDS = 60.0


@pytest.fixture
def end_sessions(postgres: str) -> Iterator["psycopg.Connection[tuple[bool]]"]:
    """A connection that can end those of all locks."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        yield connection


def _end(connection: "psycopg.Connection[tuple[bool]]") -> None:
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'multicpi locks'")


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A database of each kind."""
    return database(request.getfixturevalue("postgres") if request.param == "postgresql" else f"sqlite:///{tmp_path}/moves")


def test_a_lock_is_held_by_one_until_it_is_given_back(kept: Database) -> None:
    """Not twice by the same either; and what is not given back goes with its holder."""
    with ExitStack() as made:
        mine, others = (kept.locks(pytest.fail) for _ in range(2))
        made.callback(others.close)
        assert [mine.hold("a"), mine.hold("a"), others.hold("a"), mine.hold("b")] == [True, False, False, True]
        assert [others.is_free("a"), others.is_free("c"), mine.is_free("a")] == [False, True, False]
        others.release("a")  # nobody can give back another's
        assert not others.hold("a")
        mine.release("a")
        assert others.hold("a")
        mine.close()
        wait_until(lambda: others.is_free("b"), "what was not given back is free", deadline_seconds=_SECONDS)


def test_who_loses_the_session_is_told_though_nothing_is_asked(
    postgres: str, end_sessions: "psycopg.Connection[tuple[bool]]"
) -> None:
    """The locks are anybody's then."""
    told: list[str] = []
    locks = PostgresLocks(postgres, told.append)
    assert locks.hold("a")
    _end(end_sessions)
    wait_until(lambda: bool(told), "it is told", deadline_seconds=_SECONDS)
    others = PostgresLocks(postgres, pytest.fail)
    assert others.hold("a")
    others.close()
    locks.close()
    assert "the database does not answer" in told[0]


@pytest.mark.parametrize("ask", ["hold", "release", "is_free"])
def test_who_loses_the_session_is_told_before_the_fault_is_taken_for_an_answer(
    postgres: str, end_sessions: "psycopg.Connection[tuple[bool]]", ask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ends then keeps no move as failed for it."""
    monkeypatch.setattr("cpi.durable.locks._HEARTBEAT_SECONDS", _SECONDS)
    told: list[str] = []
    locks = PostgresLocks(postgres, told.append)
    assert locks.hold("a")
    _end(end_sessions)
    with pytest.raises(errors.CloudError, match="the database does not answer"):
        getattr(locks, ask)("a" if ask == "release" else "b")
    assert len(told) == 1
    locks.close()


def test_who_loses_the_way_to_the_server_gives_up_before_the_server_gives_the_locks_away(postgres: str) -> None:
    """Both are told so when the session is made."""
    locks = PostgresLocks(postgres, pytest.fail)
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
    idle, interval, count, unconfirmed = (int(locks._session.execute(f"SHOW {name}").fetchone()[0]) for name in names)
    mine = int(locks._session.info.get_parameters()["tcp_user_timeout"]) / 1000
    locks.close()
    assert 0 < mine < idle + interval * count == unconfirmed / 1000


@pytest.fixture
def relay(postgres: str) -> Iterator[Relay]:
    """Between who locks and the server; the kernel sees nothing wrong when it hangs."""
    with hanging_relay(urlsplit(postgres).port or 0) as made:
        yield made


def _through(relay: Relay, url: str) -> str:
    address = urlsplit(url)
    return address._replace(netloc=f"{address.username}:{address.password}@127.0.0.1:{relay.port}").geturl()


def test_who_gets_no_answer_is_told_though_the_way_looks_whole(
    postgres: str, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may have the locks by then."""
    told: list[str] = []
    locks = PostgresLocks(_through(relay, postgres), told.append)
    assert locks.hold("a")
    relay.hang()
    monkeypatch.setattr("cpi.durable.locks._ANSWER_SECONDS", 1)
    wait_until(lambda: bool(told), "it is told", deadline_seconds=_SECONDS)
    locks.close()
    assert "the database does not answer" in told[0]


def test_a_question_about_a_lock_is_not_waited_for_for_ever(postgres: str, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks gets an error, and so does who wants a session now."""
    monkeypatch.setattr("cpi.durable.locks._HEARTBEAT_SECONDS", _SECONDS)
    monkeypatch.setattr("cpi.durable.locks._ANSWER_SECONDS", 2)
    locks = PostgresLocks(_through(relay, postgres), lambda _: None)
    relay.hang()
    with pytest.raises(errors.CloudError, match="the database does not answer"):
        locks.hold("a")
    with pytest.raises(errors.CloudError, match="the database cannot be reached"):
        PostgresLocks(_through(relay, postgres), pytest.fail)
    locks.close()
