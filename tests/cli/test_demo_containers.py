"""The demonstration with containers: its figures, its picture, and, at length, all of it."""

import json
import socket
import struct
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from cpi.cli import demo_containers_screen
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.demo.containers.acts import ContainerScene, Outcome, Service
from cpi.demo.containers.clients import Pinger, PostgresWriter, RedisWriter
from cpi.demo.containers.picture import picture_of
from cpi.migration import Report, Strategy

_SECONDS = 600


def _outcome(lost: int = 0) -> Outcome:
    disk = DiskCid("disk-1")
    report = Report("m", Strategy.LIVE_COPY, "", VmCid("vm"), disk, disk, MiB(64), "2026-01-02T03:04:05Z", 9.0, 1.25)
    scenes = (
        ContainerScene("make the images", 3),
        ContainerScene("kill <redis>", 2, began=0, down={"redis": 1.5, "postgres": 0.04}),
        ContainerScene("grow the disk", 9, began=90, down={"redis": 2.5, "postgres": 0.1}, report=report),
    )
    redis = Service("redis", 100, lost, ((0.5, 2.0), (99.0, 120.0)))
    return Outcome(scenes, (redis, Service("replica", 7, 0, (), is_database=False), Service("postgres", 80, 0, ())), 100)


def test_the_figures_are_shown_for_each_service(capsys: pytest.CaptureFixture[str]) -> None:
    """How long each was down in each act; rows are those of databases."""
    demo_containers_screen.show(_outcome())
    shown = capsys.readouterr().out
    assert "redis down" in shown
    assert "grow the disk: live copy, jobs down 1.2 s" in shown
    assert "rows of redis: 100 acknowledged, 0 lost" in shown
    assert "rows of replica" not in shown


def test_the_figures_are_one_document() -> None:
    """For programs."""
    figures = demo_containers_screen.figures(_outcome(lost=2))
    assert figures["rows_lost"] == 2
    assert [service["name"] for service in figures["services"]] == ["redis", "postgres"]
    assert figures["steps"][1]["down_seconds"] == {"redis": 1.5, "postgres": 0.04}
    assert figures["steps"][2]["strategy"] == "live_copy"


def test_the_picture_has_a_row_for_each_service() -> None:
    """Red where it did not answer, never beyond the end; names are no markup."""
    root = ET.fromstring(picture_of(_outcome()))  # noqa: S314 - our own
    texts = ["".join(one.itertext()) for one in root.iter() if one.tag.endswith("}text")]
    assert {"redis", "replica", "postgres", "kill <redis>", "grow the disk"} < set(texts)
    assert "make the images" not in texts
    boxes = [one for one in root.iter() if one.tag.endswith("}rect")]
    assert max(float(one.get("x", 0)) + float(one.get("width", 0)) for one in boxes) <= 1100
    assert sum("did not answer for" in "".join(one.itertext()) for one in boxes) == 2


def _answering(answers: Callable[[socket.socket], None]) -> tuple[socket.socket, threading.Thread]:
    here, there = socket.socketpair()

    def serve() -> None:
        with there:
            answers(there)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return here, thread


def test_a_row_of_redis_is_acknowledged_by_ok_alone() -> None:
    """Anything else is no acknowledgement."""

    def answers(there: socket.socket) -> None:
        for answer in (b"+OK\r\n", b"-LOADING\r\n", b"+PONG\r\n"):
            there.recv(1000)
            there.sendall(answer)

    here, thread = _answering(answers)
    with here:
        writer = RedisWriter("127.0.0.1", 1)
        writer.write_row(here, 1, "x")
        with pytest.raises(ValueError, match="Redis answered b'-LOADING'"):
            writer.write_row(here, 2, "x")
        Pinger("127.0.0.1", 1).write_row(here, 1, "")
        with pytest.raises(OSError, match=r"before the answer|Broken pipe|reset"):
            writer.write_row(here, 3, "x")
    thread.join()


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", 4 + len(body)) + body


def test_a_row_of_postgresql_is_acknowledged_once_it_is_ready_again() -> None:
    """A fault is raised; a connection that is refused ends the talk."""
    ready = _message(b"Z", b"I")

    def answers(there: socket.socket) -> None:
        for answer in (
            _message(b"C", b"INSERT 0 1\0") + ready,
            _message(b"E", b"SERROR\0Mdisk full\0\0") + ready,
            _message(b"E", b"SFATAL\0\0"),
        ):
            there.recv(1000)
            there.sendall(answer)

    here, thread = _answering(answers)
    with here:
        writer = PostgresWriter("127.0.0.1", 1)
        writer.write_row(here, 1, "x")
        with pytest.raises(ValueError, match="disk full"):
            writer.write_row(here, 2, "x")
        with pytest.raises(ValueError, match="FATAL"):
            writer.write_row(here, 3, "x")
    thread.join()


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.nightly
def test_no_row_is_lost_whatever_dies(tmp_path: Path) -> None:
    """Redis, a replica and PostgreSQL; images are made from the machine's package sources."""
    cpi, picture = str(Path(sys.executable).with_name("cpi")), tmp_path / "demo.svg"
    command = [cpi, "demo", "--containers", "--json", "--root", str(tmp_path / "demo"), "--picture", str(picture)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["rows_lost"] == 0
    assert all(service["rows_acknowledged"] > 100 for service in figures["services"])
    assert [step["strategy"] for step in figures["steps"][-2:]] == ["live_copy", "live_copy"]
    assert all(step["down_seconds"]["postgres"] > 0 for step in figures["steps"][2:])
    assert picture.read_text().startswith("<svg")
    assert not (tmp_path / "demo").exists()
