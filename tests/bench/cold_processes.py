"""One process after the other, each from cold, and what it took."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.bench.measuring import show

_ROUNDS = 9
_MEASURE = """
import os, sys, time
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
sys.stderr.write(f"{time.perf_counter() - began} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1024} {status}")
"""


def compare(
    title: str, commands: Mapping[str, tuple[Sequence[str], bytes]], before: Callable[[str], object] = lambda _: None
) -> None:
    """A table of wall time, CPU and peak memory; by turns, so that a busy moment hits all alike.

    before is called with its name before each process.
    """
    measured: dict[str, list[list[float]]] = {name: [] for name in commands}
    for _ in range(_ROUNDS):
        for name, (command, request) in commands.items():
            before(name)
            measured[name].append(_measured(command, request))
    rows = [
        (name, *(f"{statistics.median(one[column] for one in of):.{digits}f}" for column, digits in ((0, 2), (1, 2), (2, 0))))
        for name, of in measured.items()
    ]
    show(title, ("process", "s", "CPU s", "peak MB"), rows)


def request(method: str, *arguments: Any) -> bytes:
    """One for the executable."""
    context = {"director_uuid": "bench", "request_id": "cpi-1"}
    return json.dumps({"method": method, "arguments": arguments, "context": context, "api_version": 3}).encode()


def _measured(command: Sequence[str], sent: bytes) -> list[float]:
    done = subprocess.run([sys.executable, "-I", "-c", _MEASURE, *command], input=sent, capture_output=True, check=True)
    *figures, status = done.stderr.decode().splitlines()[-1].split()
    if int(status) or (sent and json.loads(done.stdout)["error"]):
        raise AssertionError(f"{command}: {done.stdout!r} {done.stderr!r}")
    return [float(figure) for figure in figures]
