"""The vCloud driver through the executable, a cold process each time, against the fake: wall, CPU, peak memory.

Beside it the imports that other clients would begin with: libcloud's vCloud driver, requests, and urllib3, which is used.
"""

import json
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from fixtures.clouds.vcloud.lab import Lab, lab
from tests.bench.cold_processes import compare, request

_CPI = str(Path(sys.executable).with_name("cpi"))


def main() -> None:
    """Measure."""
    with lab() as cloud, tempfile.TemporaryDirectory(prefix="cpi-bench-") as folder:
        compare("vCloud, cold processes against the fake", _commands(cloud, Path(folder)))


def _commands(cloud: Lab, folder: Path) -> dict[str, tuple[Sequence[str], bytes]]:
    config = folder / "cpi.json"
    config.write_text(json.dumps(cloud.config(cloud.url, cache_folder=str(folder))), encoding="utf-8")
    rpc, python = [_CPI, "rpc", "--config", str(config)], sys.executable
    return {
        "python -I -c pass": ([python, "-I", "-c", "pass"], b""),
        "bare: import urllib3": ([python, "-c", "import urllib3"], b""),
        "bare: import requests": ([python, "-c", "import requests"], b""),
        "bare: import libcloud's driver": ([python, "-c", "import libcloud.compute.drivers.vcloud"], b""),
        "bare: import pyvcloud's client": ([python, "-W", "ignore", "-c", "import pyvcloud.vcd.client"], b""),
        "cpi: info": (rpc, request("info")),
        "cpi: has_vm": (rpc, request("has_vm", f"urn:vcloud:vm:{uuid.uuid4()}")),
        "cpi: create_disk": (rpc, request("create_disk", 1024, {}, None)),
    }


if __name__ == "__main__":
    main()
