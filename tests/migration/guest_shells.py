"""A root shell in a VM of the local cloud: its processes' own view of what is mounted where."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from cpi.agent.errors import AgentTimeout
from cpi.agent.shell import OnOutput, Output
from tests.unit.migration.world import Faults


class FolderShell:
    """Runs commands on this machine, below a folder that stands for the guest's root."""

    def __init__(self, root: str) -> None:
        self.root = root

    def run(
        self, command: Sequence[str], *, deadline_seconds: float, stdin: bytes = b"", on_output: OnOutput | None = None
    ) -> Output:
        """As a Shell does."""
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=deadline_seconds, check=False)
        if on_output is not None:
            on_output(done.stdout)
        return Output(done.returncode, done.stdout, done.stderr)


class VmShell:
    """Runs commands in the mount namespace of a VM, over a line that may fail."""

    def __init__(self, folder: Path, *, namespace: bool, faults: Faults | None = None) -> None:
        self.root = str(folder / "root")
        self._folder = folder
        self._namespace = namespace
        self._faults = faults or Faults()

    def run(
        self, command: Sequence[str], *, deadline_seconds: float, stdin: bytes = b"", on_output: OnOutput | None = None
    ) -> Output:
        """As a Shell does."""
        done = self._faults.through(AgentTimeout("the shell: made to fail"), lambda: self._run(command, deadline_seconds, stdin))
        if on_output is not None:
            on_output(done.stdout)
        return Output(done.returncode, done.stdout, done.stderr)

    def _run(self, command: Sequence[str], deadline_seconds: float, stdin: bytes) -> "subprocess.CompletedProcess[bytes]":
        group = (self._folder / "agent.lock").read_text().strip()
        enter = ["nsenter", f"--mount=/proc/{group}/ns/mnt"] if self._namespace else []
        return subprocess.run([*enter, *command], input=stdin, capture_output=True, timeout=deadline_seconds, check=False)
