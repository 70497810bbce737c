"""`info`, which callers ask before nearly every call: a cold process each time, beside a bare Python in the same run."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.measuring import local_cloud, show

_ROUNDS = 25
_REACH = 4
_REACH_MB = 25
_CPI = str(Path(sys.executable).with_name("cpi"))
_REQUEST = json.dumps({"method": "info", "arguments": [], "context": {}}).encode()

# A parent of next to no size: what a process weighs before it becomes another program counts as its own.
_MEASURE = """
import os, sys, time
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
sys.stderr.write(f"{time.perf_counter() - began} {usage.ru_maxrss} {status}")
"""


def main() -> None:
    """Measure by turns, so that a busy moment hits all alike."""
    with local_cloud() as config:
        commands = {
            "python -I -c pass": [sys.executable, "-I", "-c", "pass"],
            "cpi: info": [_CPI, "rpc", "--config", str(config)],
            "python -I -c 'import msgspec'": [sys.executable, "-I", "-c", "import msgspec"],
        }
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(_ROUNDS):
            for name, command in commands.items():
                measured[name].append(_measured(command))
    bare = statistics.median(seconds for seconds, _ in measured["python -I -c pass"])
    rows = [_row(name, of, bare) for name, of in measured.items()]
    title = f"info as a cold process (reach: at most {_REACH} x bare, under {_REACH_MB} MB)"
    show(title, ("process", "ms", "slowest", "x bare", "peak MB"), rows)


def _row(name: str, measured: Sequence[tuple[float, float]], bare: float) -> tuple[str, ...]:
    times = [seconds for seconds, _ in measured]
    middle = statistics.median(times)
    megabytes = max(megabytes for _, megabytes in measured)
    return (name, f"{middle * 1000:.1f}", f"{max(times) * 1000:.1f}", f"{middle / bare:.1f}", f"{megabytes:.1f}")


def _measured(command: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak megabytes."""
    launcher = [sys.executable, "-I", "-S", "-c", _MEASURE, *command]
    done = subprocess.run(launcher, input=_REQUEST, capture_output=True, check=True)
    seconds, kilobytes, status = done.stderr.decode().split()[-3:]
    if int(status) or (command[0] == _CPI and json.loads(done.stdout)["error"]):
        raise AssertionError(f"{command[0]} did not answer: {done.stdout!r} {done.stderr!r}")
    return float(seconds), int(kilobytes) / 1024


if __name__ == "__main__":
    main()
