"""The CloudStack driver through the executable, a cold process each time, against the fake: wall, CPU, peak memory.

Beside it: one call by libcloud's own driver, and a bare `import requests`, which libcloud needs.
"""

import json
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from fixtures.clouds.cloudstack.lab import Lab, lab
from fixtures.clouds.cloudstack.seed import KEYS
from tests.bench.cold_processes import compare, request

_CPI = str(Path(sys.executable).with_name("cpi"))
_LIBCLOUD = """
import sys
from libcloud.compute.providers import get_driver
host, port = sys.argv[1].removeprefix("http://").split("/")[0].split(":")
driver = get_driver("cloudstack")(sys.argv[2], sys.argv[3], secure=False, host=host, port=int(port), path="/client/api")
driver.list_locations()
"""


def main() -> None:
    """Measure."""
    with lab() as cloud, tempfile.TemporaryDirectory(prefix="cpi-bench-") as folder:
        compare("CloudStack, cold processes against the fake", _commands(cloud, Path(folder)))


def _commands(cloud: Lab, folder: Path) -> dict[str, tuple[Sequence[str], bytes]]:
    config = folder / "cpi.json"
    config.write_text(json.dumps(cloud.config(cloud.url, cache_folder=str(folder))), encoding="utf-8")
    rpc, python = [_CPI, "rpc", "--config", str(config)], sys.executable
    vm_type, networks = {"compute_offering": "small"}, {"default": {"type": "dynamic", "cloud_properties": {"name": "bosh-net"}}}
    return {
        "python -I -c pass": ([python, "-I", "-c", "pass"], b""),
        "bare: import requests": ([python, "-c", "import requests"], b""),
        "libcloud's driver: one listZones": ([python, "-c", _LIBCLOUD, cloud.url, *next(iter(KEYS.items()))], b""),
        "cpi: info": (rpc, request("info")),
        "cpi: has_vm": (rpc, request("has_vm", f"cpivm-{uuid.uuid4()}")),
        "cpi: create_disk": (rpc, request("create_disk", 1024, {}, None)),
        "cpi: create_vm": (rpc, request("create_vm", "agent", "light-kvm light", vm_type, networks, [], {})),
    }


if __name__ == "__main__":
    main()
