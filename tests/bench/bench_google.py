"""The Google driver through the executable, a cold process each time, against the fake: wall time, CPU, peak memory.

Beside it a bare client of the SDK, on the whole discovery document, that does what has_vm does.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fixtures.clouds.google.accounts import INSTANCE_TOKEN
from fixtures.clouds.google.lab import ZONE, lab
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
        config = Path(folder) / "cpi.json"
        config.write_text(json.dumps(google.config(google.url)), encoding="utf-8")
        title = "Google, cold processes against the fake (reach: has_vm no slower than the bare client)"
        compare(title, _commands(google.url, config))


def _commands(url: str, config: Path) -> dict[str, tuple[Sequence[str], bytes]]:
    rpc = [_CPI, "rpc", "--config", str(config)]
    return {
        "python -I -c pass": ([sys.executable, "-I", "-c", "pass"], b""),
        "bare SDK: one aggregatedList": ([sys.executable, "-c", _BARE, url, INSTANCE_TOKEN, _VM], b""),
        "cpi: info": (rpc, request("info")),
        "cpi: has_vm": (rpc, request("has_vm", _VM)),
        "cpi: create_disk": (rpc, request("create_disk", 1024, {"zone": ZONE}, None)),
    }


if __name__ == "__main__":
    main()
