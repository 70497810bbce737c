"""A way into a VM, to see that the disk which is attached is the disk that is used."""

import sys
from collections.abc import Mapping
from typing import Any, Final, Protocol

from cpi.agent.errors import AgentTaskFailed
from cpi.agent.protocol import Agent
from cpi.contract.ids import DiskCid
from cpi.contract.model import DiskHint

_READY_SECONDS: Final = 60.0

_WRITE: Final = """
import os
with open(os.path.join(os.environ["BOSH_STORE"], "proof"), "w") as file:
    file.write({number!r})
    file.flush()
    os.fsync(file.fileno())
print(0)
"""

_CHECK: Final = """
import os, sys
path = os.path.join(os.environ["BOSH_STORE"], "proof")
found = open(path).read() if os.path.exists(path) else "0"
print(0)
sys.exit(f"expected {number}, found {{found}}" if found != {number!r} else 0)
"""


class Guest(Protocol):
    """One VM from inside. A number kept on its store stands for the data."""

    def boot(self) -> None:
        """Wait until the VM answers."""

    def mount(self, disk_cid: DiskCid, hint: DiskHint) -> None:
        """Use an attached disk as the store."""

    def unmount(self, disk_cid: DiskCid) -> None:
        """Stop using a disk."""

    def write(self, number: int) -> None:
        """Keep a positive number on the store, synced."""

    def check(self, number: int) -> None:
        """Raises AssertionError unless that number is on the store; 0: unless there is none."""

    def close(self) -> None:
        """Let go of connections."""


class AgentGuest:
    """A guest whose agent runs jobs from commands in the apply spec: their drain scripts write and read."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def boot(self) -> None:
        """Wait until the agent answers."""
        self._agent.wait_until_ready(_READY_SECONDS)

    def mount(self, disk_cid: DiskCid, hint: DiskHint) -> None:
        """As a director does it: add, then mount."""
        self._agent.add_persistent_disk(disk_cid, hint)
        self._agent.mount_disk(disk_cid)

    def unmount(self, disk_cid: DiskCid) -> None:
        """As a director does it: unmount, then remove."""
        self._agent.unmount_disk(disk_cid)
        self._agent.remove_persistent_disk(disk_cid)

    def write(self, number: int) -> None:
        """Through a job's drain script."""
        self._run(_WRITE.format(number=str(number)))

    def check(self, number: int) -> None:
        """Through a job's drain script, which fails if it finds another."""
        try:
            self._run(_CHECK.format(number=str(number)))
        except AgentTaskFailed as error:
            raise AssertionError(f"the store does not hold {number}: {error}") from error

    def close(self) -> None:
        """Let go of the connection to the agent."""
        self._agent.close()

    def _run(self, program: str) -> None:
        spec = _spec(program)
        self._agent.apply(spec)
        self._agent.drain("update", spec)


def _spec(program: str) -> Mapping[str, Any]:
    idle = [sys.executable, "-I", "-c", "import signal; signal.pause()"]
    return {"jobs": [{"name": "storekeeper", "command": idle, "drain": {"command": [sys.executable, "-I", "-c", program]}}]}
