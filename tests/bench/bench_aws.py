"""The AWS driver through the executable, a cold process each time, against moto: wall time, CPU, peak memory.

Beside it a bare botocore EC2 client that does what has_vm does.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fixtures.clouds.aws.lab import REGION, ZONES, Lab, lab
from tests.bench.cold_processes import compare, request

_CPI = str(Path(sys.executable).with_name("cpi"))
_VM = "i-00000000000000000"

_BARE = """
import botocore.session, sys
session = botocore.session.get_session()
keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
client = session.create_client("ec2", region_name=sys.argv[2], endpoint_url=sys.argv[1], **keys)
client.describe_instances(Filters=[{"Name": "instance-id", "Values": [sys.argv[3]]}])
"""


def main() -> None:
    """Measure."""
    with lab() as aws, tempfile.TemporaryDirectory(prefix="cpi-bench-") as folder:
        aws.proxy.withdraw_all()
        config = Path(folder) / "cpi.json"
        config.write_text(json.dumps(aws.config(aws.moto_url)), encoding="utf-8")
        compare("AWS, cold processes against moto (reach: has_vm within 0.02 s of the bare client)", _commands(aws, config))


def _commands(aws: Lab, config: Path) -> dict[str, tuple[Sequence[str], bytes]]:
    rpc = [_CPI, "rpc", "--config", str(config)]
    vm_type = {"instance_type": "m5.large"}
    networks = {"default": {"type": "dynamic", "cloud_properties": {"subnet": aws.subnets()[ZONES[0]]}}}
    return {
        "python -I -c pass": ([sys.executable, "-I", "-c", "pass"], b""),
        "bare botocore: one DescribeInstances": ([sys.executable, "-c", _BARE, aws.moto_url, REGION, _VM], b""),
        "cpi: info": (rpc, request("info")),
        "cpi: has_vm": (rpc, request("has_vm", _VM)),
        "cpi: create_disk": (rpc, request("create_disk", 1024, {"availability_zone": ZONES[0]}, None)),
        "cpi: create_vm": (rpc, request("create_vm", "agent", f"{aws.make_ami()} light", vm_type, networks, [], {})),
    }


if __name__ == "__main__":
    main()
