"""The OpenStack driver through the executable, a cold process each time, against a real control plane: wall, CPU, peak memory.

Beside it: a bare keystoneauth session that does what has_vm does with a token it has, and a bare `import openstack`.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fixtures.clouds.openstack import running
from fixtures.clouds.openstack.lab import Lab, lab
from tests.bench.measuring import show

_ROUNDS = 9
_CPI = str(Path(sys.executable).with_name("cpi"))
_VM = str(uuid.uuid4())

_MEASURE = """
import os, sys, time
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
sys.stderr.write(f"{time.perf_counter() - began} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1024} {status}")
"""
_BARE = """
import sys
from keystoneauth1 import session, token_endpoint
bare = session.Session(auth=token_endpoint.Token(sys.argv[1], sys.argv[2]))
bare.get(sys.argv[1] + "/servers/" + sys.argv[3], raise_exc=False)
"""


def main() -> None:
    """Measure by turns, so that a busy moment hits all alike."""
    with running() as plane, lab(plane) as project, tempfile.TemporaryDirectory(prefix="cpi-bench-") as folder:
        measured: dict[str, list[Sequence[float]]] = {}
        for _ in range(_ROUNDS):
            for name, (command, request, cache) in _commands(project, Path(folder)).items():
                if name.endswith("logging in"):
                    shutil.rmtree(cache, ignore_errors=True)
                measured.setdefault(name, []).append(_measured(command, request))
    rows = [
        (name, *(f"{statistics.median(one[column] for one in of):.{digits}f}" for column, digits in ((0, 2), (1, 2), (2, 0))))
        for name, of in measured.items()
    ]
    show("OpenStack, cold processes against a real control plane", ("process", "s", "CPU s", "peak MB"), rows)


def _commands(project: Lab, folder: Path) -> dict[str, tuple[list[str], bytes, Path]]:
    cache = folder / "cache"
    config = folder / "cpi.json"
    config.write_text(json.dumps(project.config(direct=True, cache_folder=str(cache))), encoding="utf-8")
    rpc = [_CPI, "rpc", "--config", str(config)]
    nova, token = project.plane.urls["nova"], project.sdk.auth_token
    calls = {"has_vm": _request("has_vm", _VM), "create_disk": _request("create_disk", 1024, {}, None)}
    return {
        "python -I -c pass": ([sys.executable, "-I", "-c", "pass"], b"", cache),
        "bare: import openstack": ([sys.executable, "-c", "import openstack"], b"", cache),
        "bare keystoneauth: one GET, token given": ([sys.executable, "-c", _BARE, nova, token, _VM], b"", cache),
        "cpi: info": (rpc, _request("info"), cache),
        **{f"cpi: {name}, logging in": (rpc, request, cache) for name, request in calls.items()},
        **{f"cpi: {name}, token in the cache": (rpc, request, cache) for name, request in calls.items()},
    }


def _request(method: str, *arguments: Any) -> bytes:
    context = {"director_uuid": "bench", "request_id": "cpi-1"}
    return json.dumps({"method": method, "arguments": arguments, "context": context, "api_version": 3}).encode()


def _measured(command: Sequence[str], request: bytes) -> list[float]:
    done = subprocess.run([sys.executable, "-I", "-c", _MEASURE, *command], input=request, capture_output=True, check=True)
    wall, cpu, peak, status = done.stderr.split()[-4:]
    if int(status) or (request and b'"error":null' not in done.stdout.replace(b" ", b"")):
        raise RuntimeError(f"{' '.join(command)}: {done.stdout!r} {done.stderr!r}")
    return [float(wall), float(cpu), float(peak)]


if __name__ == "__main__":
    main()
