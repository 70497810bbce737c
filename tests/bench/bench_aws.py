"""The AWS driver through the executable, a cold process each time, against moto: wall time, CPU, peak memory.

Beside it a bare botocore EC2 client that does what has_vm does.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fixtures.clouds.aws.lab import REGION, ZONES, Lab, lab
from tests.bench.measuring import show

_ROUNDS = 9
_CPI = str(Path(sys.executable).with_name("cpi"))
_VM = "i-00000000000000000"

_MEASURE = """
import os, sys, time
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
sys.stderr.write(f"{time.perf_counter() - began} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1024} {status}")
"""
_BARE = """
import botocore.session, sys
session = botocore.session.get_session()
keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
client = session.create_client("ec2", region_name=sys.argv[2], endpoint_url=sys.argv[1], **keys)
client.describe_instances(Filters=[{"Name": "instance-id", "Values": [sys.argv[3]]}])
"""


def main() -> None:
    """Measure by turns, so that a busy moment hits all alike."""
    with lab() as aws, tempfile.TemporaryDirectory(prefix="cpi-bench-") as folder:
        aws.proxy.withdraw_all()
        config = Path(folder) / "cpi.json"
        config.write_text(json.dumps(aws.config(aws.moto_url)), encoding="utf-8")
        commands = _commands(aws, config)
        measured: dict[str, list[Sequence[float]]] = {name: [] for name in commands}
        for _ in range(_ROUNDS):
            for name, (command, request) in commands.items():
                measured[name].append(_measured(command, request))
    rows = [
        (name, *(f"{statistics.median(one[column] for one in of):.{digits}f}" for column, digits in ((0, 2), (1, 2), (2, 0))))
        for name, of in measured.items()
    ]
    show(
        "AWS, cold processes against moto (reach: has_vm within 0.02 s of the bare client)",
        ("process", "s", "CPU s", "peak MB"),
        rows,
    )


def _commands(aws: Lab, config: Path) -> dict[str, tuple[list[str], bytes]]:
    rpc = [_CPI, "rpc", "--config", str(config)]
    vm_type = {"instance_type": "m5.large"}
    networks = {"default": {"type": "dynamic", "cloud_properties": {"subnet": aws.subnets()[ZONES[0]]}}}
    return {
        "python -I -c pass": ([sys.executable, "-I", "-c", "pass"], b""),
        "bare botocore: one DescribeInstances": ([sys.executable, "-c", _BARE, aws.moto_url, REGION, _VM], b""),
        "cpi: info": (rpc, _request("info")),
        "cpi: has_vm": (rpc, _request("has_vm", _VM)),
        "cpi: create_disk": (rpc, _request("create_disk", 1024, {"availability_zone": ZONES[0]}, None)),
        "cpi: create_vm": (rpc, _request("create_vm", "agent", f"{aws.make_ami()} light", vm_type, networks, [], {})),
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
