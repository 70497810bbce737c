"""The OpenStack driver through the executable, a cold process each time, against a real control plane: wall, CPU, peak memory.

Beside it: a bare keystoneauth session that does what has_vm does with a token it has, and a bare `import openstack`.
"""

import json
import shutil
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from fixtures.clouds.openstack import running
from fixtures.clouds.openstack.lab import Lab, lab
from tests.bench.cold_processes import compare, request

_CPI = str(Path(sys.executable).with_name("cpi"))
_VM = str(uuid.uuid4())

_BARE = """
import sys
from keystoneauth1 import session, token_endpoint
bare = session.Session(auth=token_endpoint.Token(sys.argv[1], sys.argv[2]))
bare.get(sys.argv[1] + "/servers/" + sys.argv[3], raise_exc=False)
"""


def main() -> None:
    """Measure."""
    with running() as plane, lab(plane) as project, tempfile.TemporaryDirectory(prefix="cpi-bench-") as folder:
        cache = Path(folder) / "cache"

        def forget(name: str) -> None:
            if name.endswith("logging in"):
                shutil.rmtree(cache, ignore_errors=True)

        config = Path(folder) / "cpi.json"
        config.write_text(json.dumps(project.config(direct=True, cache_folder=str(cache))), encoding="utf-8")
        compare("OpenStack, cold processes against a real control plane", _commands(project, config), forget)


def _commands(project: Lab, config: Path) -> dict[str, tuple[Sequence[str], bytes]]:
    rpc = [_CPI, "rpc", "--config", str(config)]
    nova, token = project.plane.urls["nova"], project.sdk.auth_token
    calls = {"has_vm": request("has_vm", _VM), "create_disk": request("create_disk", 1024, {}, None)}
    return {
        "python -I -c pass": ([sys.executable, "-I", "-c", "pass"], b""),
        "bare: import openstack": ([sys.executable, "-c", "import openstack"], b""),
        "bare keystoneauth: one GET, token given": ([sys.executable, "-c", _BARE, nova, token, _VM], b""),
        "cpi: info": (rpc, request("info")),
        **{f"cpi: {name}, logging in": (rpc, call) for name, call in calls.items()},
        **{f"cpi: {name}, token in the cache": (rpc, call) for name, call in calls.items()},
    }


if __name__ == "__main__":
    main()
