"""`info` as a cold process, which is what callers start before nearly every call."""

import os
import subprocess
import sys
from pathlib import Path

from tests.rpc.executable import request, valid

HEAVY = {"msgspec", "typer", "click", "rich", "httpx", "sqlite3", "asyncio", "ssl", "importlib.metadata", "logging", "subprocess"}


def test_a_cold_info_imports_nothing_heavy(tmp_path: Path) -> None:
    """It is asked before nearly every call."""
    config = tmp_path / "cpi.json"
    config.write_text('{"cloud": {"plugin": "local"}}')
    script = (
        "import sys, os, cpi.__main__\nfrom cpi.rpc import process\n"
        "process.serve(['--config', sys.argv[1]])\nos.write(2, ' '.join(sys.modules).encode())"
    )
    command = [sys.executable, "-c", script, str(config)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}  # it imports much
    done = subprocess.run(command, input=request("info", version=None), env=environment, capture_output=True, check=True)
    assert valid(done.stdout)["result"]["api_version"] == 3
    imported = set(done.stderr.decode().split())
    assert imported & HEAVY == set()
    assert {name for name in imported if name.startswith(("cpi", "cpi_drivers"))} == {
        "cpi",
        "cpi.__main__",
        "cpi.config",
        "cpi.contract",
        "cpi.contract.errors",
        "cpi.registry",
        "cpi.rpc",
        "cpi.rpc.messages",
        "cpi.rpc.process",
        "cpi.rpc.warm",
        "cpi.rpc.warm.launcher",
        "cpi_drivers",
        "cpi_drivers.local",
    }
