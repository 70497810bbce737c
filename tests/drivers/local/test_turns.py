"""Turns: who came first is served first, and nobody is left waiting until it gives up."""

import collections
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.kit.waiting import wait_until
from cpi_drivers.local.host import turns
from tests.drivers.local.place import Place

_HOLDER = """
import sys, pathlib
from cpi_drivers.local.host import turns
with turns.turn(pathlib.Path(sys.argv[1]), "it"):
    print("in turn", flush=True)
    sys.stdin.read()
"""

_FORKED = """
import json, os, pathlib, sys
from cpi.connecting import connect
from cpi.kit.waiting import wait_until
from cpi_drivers.local.host import turns
cloud = connect(json.loads(sys.argv[1]))
disk_cid, path, log = sys.argv[2], pathlib.Path(sys.argv[3]), os.open(sys.argv[4], os.O_WRONLY | os.O_APPEND)
children = []

def call(number):
    with turns.turn(path, "it"):
        os.write(log, bytes([number]))
    for _ in range(3):
        cloud.set_disk_metadata(disk_cid, {f"key-{number}": number})
        assert cloud.has_disk(disk_cid)
        os.write(log, bytes([number]))

def all_in_line():
    locks = pathlib.Path("/proc/locks").read_text().split("\\n")
    return sum(f":{path.stat().st_ino} " in line for line in locks) > 64

with turns.turn(path, "it"):
    for number in range(64):
        child = os.fork()
        if not child:
            status = 1
            try:
                call(number)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    wait_until(all_in_line, "64 processes in line", deadline_seconds=100)
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""


def _most_and_fewest(served: list[int], rounds: int) -> tuple[int, int]:
    """How many turns each had when the first had had all of them."""
    counts: collections.Counter[int] = collections.Counter(dict.fromkeys(served, 0))
    for number in served:
        counts[number] += 1
        if counts[number] == rounds:
            break
    return max(counts.values()), min(counts.values())


def test_200_threads_on_one_cloud_all_get_their_turns(place: Place) -> None:
    """No call fails, and while one thread has six calls answered no other has none."""
    rounds = 6
    disk_cid = place.disk()
    served: list[int] = []
    faults: list[str] = []

    def call(number: int) -> None:
        for _ in range(rounds):
            try:
                place.cloud.set_disk_metadata(disk_cid, {f"key-{number}": number})
                assert place.cloud.has_disk(disk_cid)
            except errors.Error as error:
                faults.append(str(error))
            served.append(number)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(200)]
    with turns.turn(place.layout.turns, "it"):
        for thread in threads:
            thread.start()
        wait_until(lambda: len(turns._lines[place.layout.turns]) > 200, "200 threads in line", deadline_seconds=100)
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(json.loads(place.row("disks", disk_cid)["metadata"])) == 200
    most, fewest = _most_and_fewest(served, rounds)
    assert most == rounds
    assert fewest >= 1


def test_64_processes_on_one_cloud_all_get_their_turns(place: Place, tmp_path: Path) -> None:
    """No call fails, and nobody comes twice before all who are in line came once."""
    disk_cid = place.disk()
    log = tmp_path / "log"
    log.touch()
    arguments = [json.dumps(place.document()), disk_cid, str(place.layout.turns), str(log)]
    done = subprocess.run([sys.executable, "-c", _FORKED, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(place.row("disks", disk_cid)["metadata"])) == 64
    served = list(log.read_bytes())
    assert set(served[:64]) == set(range(64))
    assert len(served) == 64 * 4


def test_turns_come_in_the_order_of_arrival(tmp_path: Path) -> None:
    """Of threads and of processes."""
    path = tmp_path / "turns"
    served: list[int] = []

    def come(number: int) -> None:
        with turns.turn(path, "it"):
            served.append(number)

    threads = [threading.Thread(target=come, args=(number,)) for number in range(20)]
    with _holder(path) as holder:
        for number, thread in enumerate(threads):
            thread.start()
            wait_until(lambda number=number: len(turns._lines[path]) > number, "a thread in line", deadline_seconds=60)  # type: ignore[misc]  # a lambda with a default
        assert served == []
        holder.communicate("")
    for thread in threads:
        thread.join()
    assert served == list(range(20))
    assert path not in turns._lines


def test_the_turn_of_a_killed_process_is_over(tmp_path: Path) -> None:
    """The kernel sees to it."""
    path = tmp_path / "turns"
    with _holder(path) as holder:
        os.kill(holder.pid, signal.SIGKILL)
        with turns.turn(path, "it"):
            pass


def test_a_turn_that_does_not_come_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hangs must not hang everybody: neither its own threads nor others."""
    monkeypatch.setattr(turns, "_LONGEST_WAIT_SECONDS", 0.05)
    path = tmp_path / "turns"
    with _holder(path) as holder:
        with (
            pytest.raises(errors.CloudError, match="the state is used by other calls"),
            turns.turn(path, "the state is used by other calls"),
        ):
            pytest.fail("two had their turn at once")
        holder.communicate("")
    faults: list[str] = []

    def come() -> None:
        try:
            with turns.turn(path, "it is used"):
                faults.append("two had their turn at once")
        except errors.CloudError as error:
            faults.append(str(error))

    with turns.turn(path, "it"):
        thread = threading.Thread(target=come)
        thread.start()
        thread.join()
    assert faults == ["it is used: not within 0.05 s"]
    with turns.turn(path, "it"):
        pass


def test_a_thread_whose_way_out_was_broken_gets_its_next_turn(tmp_path: Path) -> None:
    """A signal may strike at the very end of a turn; what the call undoes then must not wait for itself."""
    path = tmp_path / "turns"
    broken = turns.turn(path, "it")
    broken.__enter__()
    with turns.turn(path, "it"):
        pass
    with turns.turn(path, "it"):
        pass


def test_a_forked_child_stands_in_no_line(tmp_path: Path) -> None:
    """Nor does what it has open keep its parent's place."""
    path = tmp_path / "turns"
    ready, go = os.pipe()
    with turns.turn(path, "it"):
        child = os.fork()
        if not child:
            os.read(ready, 1)
            os._exit(0)
    try:
        with turns.turn(path, "it"):
            pass
    finally:
        os.write(go, b"x")
        assert os.waitpid(child, 0)[1] == 0
        os.close(ready)
        os.close(go)


def _holder(path: Path) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "in turn\n"
    return holder
