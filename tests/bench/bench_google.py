"""The Google driver through the executable, a cold process each time, against the fake: wall time, CPU, peak memory.

Beside it a bare client of the SDK, on the whole discovery document, that does what has_vm does.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fixtures.clouds.google.accounts import INSTANCE_TOKEN
from fixtures.clouds.google.lab import ZONE, Lab, lab
from tests.bench.cold_processes import compare, request

_CPI = str(Path(sys.executable).with_name("cpi"))
_VM = "vm-that-never-was"
_BARE = """
import sys
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
where = {"api_endpoint": sys.argv[1] + "/compute/v1/"}
client = build("compute", "v1", credentials=Credentials(sys.argv[2]), client_options=where)
client.instances().aggregatedList(project="a-project", filter=f'name = "{sys.argv[3]}"').execute()
"""


def main() -> None:
    """Measure."""
    with lab() as google, tempfile.TemporaryDirectory(prefix="cpi-bench-") as folder:
        title = "Google, cold processes against the fake (reach: has_vm no slower than the bare client)"
        compare(title, _commands(google, Path(folder)))


def _commands(google: Lab, folder: Path) -> dict[str, tuple[Sequence[str], bytes]]:
    config = folder / "cpi.json"
    config.write_text(json.dumps(google.config(google.url)), encoding="utf-8")
    rpc, python = [_CPI, "rpc", "--config", str(config)], sys.executable
    vm_type, networks = {"machine_type": "n1-standard-1", "zone": ZONE}, {"default": {"type": "dynamic"}}
    return {
        "python -I -c pass": ([python, "-I", "-c", "pass"], b""),
        "bare SDK: one aggregatedList": ([python, "-c", _BARE, google.url, INSTANCE_TOKEN, _VM], b""),
        "cpi: info": (rpc, request("info")),
        "cpi: has_vm": (rpc, request("has_vm", _VM)),
        "cpi: create_disk": (rpc, request("create_disk", 1024, {"zone": ZONE}, None)),
        "cpi: create_vm": (rpc, request("create_vm", "agent", google.make_image(), vm_type, networks, [], {})),
    }


if __name__ == "__main__":
    main()
