"""The Google driver through the executable, a cold process each time, against the fake: wall time, CPU, peak memory.

Beside it a bare client of the SDK, on the whole discovery document, that does what has_vm does.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fixtures.clouds.google.accounts import INSTANCE_TOKEN
from fixtures.clouds.google.lab import ZONE, lab
from tests.bench.measuring import show

_ROUNDS = 9
_CPI = str(Path(sys.executable).with_name("cpi"))
_VM = "vm-that-never-was"

_MEASURE = """
import os, sys, time
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
sys.stderr.write(f"{time.perf_counter() - began} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1024} {status}")
"""
_BARE = """
import sys
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
where = {"api_endpoint": sys.argv[1] + "/compute/v1/"}
client = build("compute", "v1", credentials=Credentials(sys.argv[2]), client_options=where)
client.instances().aggregatedList(project="a-project", filter=f'name = "{sys.argv[3]}"').execute()
"""


def main() -> None:
    """Measure by turns, so that a busy moment hits all alike."""
    with lab() as google, tempfile.TemporaryDirectory(prefix="cpi-bench-") as folder:
        config = Path(folder) / "cpi.json"
        config.write_text(json.dumps(google.config(google.url)), encoding="utf-8")
        commands = _commands(google.url, config)
        measured: dict[str, list[Sequence[float]]] = {name: [] for name in commands}
        for _ in range(_ROUNDS):
            for name, (command, request) in commands.items():
                measured[name].append(_measured(command, request))
    rows = [
        (name, *(f"{statistics.median(one[column] for one in of):.{digits}f}" for column, digits in ((0, 2), (1, 2), (2, 0))))
        for name, of in measured.items()
    ]
    show(
        "Google, cold processes against the fake (reach: has_vm no slower than the bare client)",
        ("process", "s", "CPU s", "peak MB"),
        rows,
    )


def _commands(url: str, config: Path) -> dict[str, tuple[list[str], bytes]]:
    rpc = [_CPI, "rpc", "--config", str(config)]
    return {
        "python -I -c pass": ([sys.executable, "-I", "-c", "pass"], b""),
        "bare SDK: one aggregatedList": ([sys.executable, "-c", _BARE, url, INSTANCE_TOKEN, _VM], b""),
        "cpi: info": (rpc, _request("info")),
        "cpi: has_vm": (rpc, _request("has_vm", _VM)),
        "cpi: create_disk": (rpc, _request("create_disk", 1024, {"zone": ZONE}, None)),
    }


def _request(method: str, *arguments: Any) -> bytes:
    context = {"director_uuid": "bench", "request_id": "cpi-1"}
    return json.dumps({"method": method, "arguments": arguments, "context": context, "api_version": 3}).encode()


def _measured(command: Sequence[str], request: bytes) -> list[float]:
    done = subprocess.run([sys.executable, "-I", "-c", _MEASURE, *command], input=request, capture_output=True, check=True)
    *figures, status = done.stderr.decode().splitlines()[-1].split()
    if int(status) or (request and json.loads(done.stdout)["error"]):
        raise AssertionError(f"{command}: {done.stdout!r} {done.stderr!r}")
    return [float(figure) for figure in figures]


if __name__ == "__main__":
    main()
