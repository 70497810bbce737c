"""The vSphere driver through the executable, a cold process each time, against vcsim: wall time, CPU, peak memory.

Beside it: a bare `import pyVmomi`.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cpi
from cpi.contract.ids import AgentId
from cpi.contract.model import Network
from cpi.contract.units import MiB
from fixtures.clouds.vcsim.images import image
from fixtures.clouds.vcsim.lab import NETWORK, Lab, lab
from tests.bench.measuring import show

_ROUNDS = 9
_CPI = str(Path(sys.executable).with_name("cpi"))

_MEASURE = """
import os, sys, time
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
sys.stderr.write(f"{time.perf_counter() - began} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1024} {status}")
"""


def main() -> None:
    """Measure by turns, so that a busy moment hits all alike."""
    with lab() as vcenter, tempfile.TemporaryDirectory(prefix="cpi-bench-") as name:
        measured: dict[str, list[Sequence[float]]] = {}
        commands = _commands(vcenter, Path(name))
        for _ in range(_ROUNDS):
            for what, (command, request) in commands.items():
                measured.setdefault(what, []).append(_measured(command, request))
    rows = [
        (what, *(f"{statistics.median(one[column] for one in of):.{digits}f}" for column, digits in ((0, 2), (1, 2), (2, 0))))
        for what, of in measured.items()
    ]
    show("vSphere, cold processes against vcsim, with a session that is kept", ("process", "s", "CPU s", "peak MB"), rows)


def _commands(vcenter: Lab, folder: Path) -> dict[str, tuple[list[str], bytes]]:
    document = vcenter.config(vcenter.url, cache_folder=str(folder))
    config = folder / "cpi.json"
    config.write_text(json.dumps(document), encoding="utf-8")
    rpc = [_CPI, "rpc", "--config", str(config)]
    with cpi.connect(document) as cloud:
        stemcell = cloud.create_stemcell(str(image(folder / "image")), {}, {})
        networks = {"default": Network(ip=vcenter.address(), cloud_properties={"name": NETWORK})}
        vm = cloud.create_vm(AgentId("agent"), stemcell, {"cpu": 1, "ram": 512, "disk": 1024}, networks).cid
        disk = cloud.create_disk(MiB(100), {})
    return {
        "python -I -c pass": ([sys.executable, "-I", "-c", "pass"], b""),
        "bare import of pyVmomi": ([sys.executable, "-c", "from pyVmomi import vim"], b""),
        "cpi: info": (rpc, _request("info")),
        "cpi: has_vm": (rpc, _request("has_vm", vm)),
        "cpi: create_disk": (rpc, _request("create_disk", 100, {}, None)),
        "cpi: attach_disk": (rpc, _request("attach_disk", vm, disk)),
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
