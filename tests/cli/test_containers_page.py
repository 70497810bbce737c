"""The page about containers: its commands are run, in order, as a newcomer would."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.containers import small_root_folder
from fixtures.ports import own_port
from tests.house.source import ROOT

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECONDS = 300


@pytest.mark.root
@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    """From nothing to a larger disk under a running container; only the image is a small one of ours, on a port of ours."""
    text, port = (ROOT / "docs" / "containers.md").read_text(encoding="utf-8"), str(own_port())
    script = "".join(_BLOCK.findall(text)).replace("6379", port)
    small = f'["nc", "-ll", "-p", "{port}", "-e", "/bin/rows"]\n      env: {{STORE: /data}}\n'
    script = script.replace("docker.io/library/redis:7", str(small_root_folder(tmp_path)))
    script, replaced = re.subn(r"\[redis-server,.*\n", small, script)
    assert replaced == 1
    # its process is the first in the container, and takes no SIGTERM: the whole grace would pass at each stop
    script = script.replace("stop_grace: 20", "stop_grace: 1")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(tmp_path),
        "COLUMNS": "200",
    }
    command = ["bash", "-euo", "pipefail", "-c", script]
    try:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        assert "SET colour blue" in done.stdout
        assert "live_copy" in done.stdout
        assert [path for kind in ("vms", "disks", "stemcells") for path in (tmp_path / "shop/cloud" / kind).glob("*")] == []
    finally:
        _remove(tmp_path / "shop", environment)


def _remove(folder: Path, environment: dict[str, str]) -> None:
    for method, kind in (("delete_vm", "vms"), ("delete_disk", "disks")):
        for path in (folder / "cloud" / kind).glob("*"):
            command = [sys.executable, "-m", "cpi", "call", method, path.name, "--config", str(folder / "cpi.json")]
            subprocess.run(command, env=environment, check=True, timeout=_SECONDS)
