"""Where things lie in a VM's folder, and how small documents are kept there."""

import json
import os
from pathlib import Path
from typing import Any


class VmFolder:
    """The VM's folder. lock is the descriptor that every process of the VM inherits."""

    def __init__(self, path: Path, lock: int | None = None) -> None:
        self.path = path
        self.inherited = () if lock is None else (lock,)
        self.root = path / "root"
        self.settings = path / "settings.json"
        self.tls = path / "tls"
        self.blobs = path / "blobs"
        self.scratch = path / "scratch"
        self.bundles = path / "bundles"
        vcap = self.root / "var" / "vcap"
        self.store = vcap / "store"
        self.migration_target = vcap / "store_migration_target"
        self.data = vcap / "data"
        self.packages = vcap / "packages"
        self.jobs = vcap / "jobs"
        self.dns_records = vcap / "instance" / "dns" / "records.json"
        self.logs = vcap / "sys" / "log"
        self.run = vcap / "sys" / "run"
        self.dynamic_disks = vcap / "data" / "dynamic_disks"
        self.associated_disks = vcap / "instance" / "disks"

    def prepare(self) -> None:
        """Makes the folders that jobs expect. Raises ValueError where the stemcell's links would lead out of the VM."""
        for folder in (self.jobs, self.logs, self.run, self.dynamic_disks, self.associated_disks):
            inside = Path(os.path.realpath(folder))
            if not inside.is_relative_to(os.path.realpath(self.root)):
                raise ValueError(f"{folder} leads out of the VM's root, to {inside}: the stemcell has an absolute link there")
            inside.mkdir(parents=True, exist_ok=True)
        self._state.mkdir(mode=0o700, exist_ok=True)

    @property
    def has_own_mounts(self) -> bool:
        """Whether the launcher gave it a mount namespace of its own."""
        try:
            return bool(json.loads((self.path / "launch.json").read_bytes()).get("isolate_mounts"))
        except FileNotFoundError:
            return False

    @property
    def has_var_vcap(self) -> bool:
        """Whether this VM's /var/vcap is to be found there, as programs of BOSH releases expect it."""
        return os.path.realpath("/var/vcap/jobs") == os.path.realpath(self.jobs)

    def seen(self, path: Path) -> str:
        """A path below root as programs in the VM are given it: from /var on where they find it there."""
        if self.has_var_vcap and path.is_relative_to(self.root / "var" / "vcap"):
            return f"/{path.relative_to(self.root)}"
        return str(path)

    def inside(self, path: str) -> Path:
        """Where an absolute path of the VM lies on the host."""
        return self.root / path.lstrip("/")

    @property
    def _state(self) -> Path:
        return self.path / "state"

    def recall(self, name: str) -> Any:
        """The document kept under name in state/, None if there is none."""
        try:
            return json.loads((self._state / f"{name}.json").read_bytes())
        except FileNotFoundError:
            return None

    def keep(self, name: str, document: Any) -> None:
        """Keeps a document under name: whole or not at all, readable by the owner alone."""
        write_private(self._state / f"{name}.json", json.dumps(document))


def write_private(path: Path, text: str) -> None:
    """Replaces a file in one step, mode 0600, on the disk when this returns."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
