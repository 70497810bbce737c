"""The vSphere driver through the executable, a cold process each time, against vcsim: wall time, CPU, peak memory.

Beside it: a bare `import pyVmomi`.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cpi
from cpi.contract.ids import AgentId
from cpi.contract.model import Network
from cpi.contract.units import MiB
from fixtures.clouds.vcsim.images import image
from fixtures.clouds.vcsim.lab import NETWORK, Lab, lab
from tests.bench.cold_processes import compare, request

_CPI = str(Path(sys.executable).with_name("cpi"))


def main() -> None:
    """Measure."""
    with lab() as vcenter, tempfile.TemporaryDirectory(prefix="cpi-bench-") as folder:
        compare("vSphere, cold processes against vcsim, with a session that is kept", _commands(vcenter, Path(folder)))


def _commands(vcenter: Lab, folder: Path) -> dict[str, tuple[Sequence[str], bytes]]:
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
        "cpi: info": (rpc, request("info")),
        "cpi: has_vm": (rpc, request("has_vm", vm)),
        "cpi: create_disk": (rpc, request("create_disk", 100, {}, None)),
        "cpi: attach_disk": (rpc, request("attach_disk", vm, disk)),
    }


if __name__ == "__main__":
    main()
