"""The documents in a VM's folder that its agent and its launcher read: whole or not at all, for their owner alone."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cpi.contract.ids import DiskCid
from cpi.contract.model import DiskHint
from cpi.kit.agent_settings import Settings, with_disk
from cpi_drivers.local.host import locks


def settings_path(folder: Path) -> Path:
    """Where the settings of the VM in folder lie."""
    return folder / "settings.json"


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Replace a document in one step."""
    draft = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def read_settings(folder: Path) -> Settings:
    """The settings of the VM in folder."""
    settings: Settings = json.loads(settings_path(folder).read_bytes())
    return settings


def write_disks(folder: Path, hints: Callable[[], Mapping[DiskCid, DiskHint]]) -> None:
    """Make hints the persistent disks in the settings of the VM in folder; a folder that is gone is fine.

    hints is asked while nobody else writes, so what is written is what was true last.
    """
    if not settings_path(folder).exists():
        return
    with locks.held(folder / "settings.lock", f"the settings in {folder}"):
        present = read_settings(folder)
        settings = {**present, "disks": {**present["disks"], "persistent": {}}}
        for disk_cid, hint in hints().items():
            settings = with_disk(settings, disk_cid, hint)
        if settings != present:
            write(settings_path(folder), settings)
