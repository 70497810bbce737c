"""Logs of jobs and of the agent, as one archive."""

import asyncio
import fnmatch
import tarfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cpi_drivers.local.agent.blobs import Blobs, digest_of
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.layout import VmFolder

_JOB_LOGS: Final = ("**/*.log",)


class Logs:
    """Those of one VM."""

    def __init__(self, vm: VmFolder, blobs: Blobs) -> None:
        self._vm = vm
        self._blobs = blobs

    async def fetch(self, kind: str, filters: Any = None) -> dict[str, Any]:
        """An archive in the blobstore."""
        archive = await asyncio.to_thread(self._packed, kind, filters)
        try:
            digest = digest_of(archive)
            return {"blobstore_id": await asyncio.to_thread(self._blobs.store, archive, "the logs"), "sha1": digest}
        finally:
            archive.unlink()

    async def fetch_signed(self, request: Any) -> dict[str, Any]:
        """An archive at a signed URL."""
        asked = _object(request)
        archive = await asyncio.to_thread(self._packed, str(asked.get("log_type") or "job"), asked.get("filters"))
        try:
            headers = asked.get("blobstore_headers") or {}
            await asyncio.to_thread(self._blobs.store_at, archive, str(asked.get("signed_url") or ""), headers, "the logs")
            return {"sha1": digest_of(archive)}
        finally:
            archive.unlink()

    async def bundle(self, request: Any) -> dict[str, Any]:
        """An archive in the VM, for whoever copies it out and has it removed."""
        asked = _object(request)
        archive = await asyncio.to_thread(self._packed, str(asked.get("log_type") or "job"), asked.get("filters"))
        return {"logs_tar_path": str(archive), "sha512": digest_of(archive, "sha512")}

    async def remove_file(self, path: str) -> str:
        """Removes what bundle made, and nothing else."""
        archive = Path(path)
        if archive.parent != self._vm.bundles or archive.name in {"", ".", ".."}:
            raise Fault(f"{path} is no bundle of logs of this VM: nothing else is removed")
        await asyncio.to_thread(archive.unlink, missing_ok=True)
        return "removed"

    def _packed(self, kind: str, filters: Any) -> Path:
        if kind not in {"job", "agent", "system"}:
            raise Fault(f"there are logs of job and agent, not of {kind!r}")
        self._vm.bundles.mkdir(mode=0o700, parents=True, exist_ok=True)
        archive = self._vm.bundles / f"{uuid.uuid4()}.tgz"
        with tarfile.open(archive, "w:gz") as packed:
            for path, name in self._chosen(kind, _strings(filters)):
                packed.add(path, name, recursive=False)
        archive.chmod(0o600)
        return archive

    def _chosen(self, kind: str, filters: Sequence[str]) -> list[tuple[Path, str]]:
        if kind != "job":
            return [(path, path.name) for path in sorted(self._vm.path.glob("agent.log*"))]
        patterns = filters or _JOB_LOGS
        files = [path for path in sorted(self._vm.logs.rglob("*")) if path.is_file() and not path.is_symlink()]
        names = {path: str(path.relative_to(self._vm.logs)) for path in files}
        return [(path, name) for path, name in names.items() if any(_matches(name, pattern) for pattern in patterns)]


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or (pattern.startswith("**/") and fnmatch.fnmatchcase(name, pattern[3:]))


def _object(request: Any) -> Mapping[str, Any]:
    if not isinstance(request, Mapping):
        raise Fault(f"Extracting method arguments from payload: expected an object, got {type(request).__name__}")
    return request


def _strings(filters: Any) -> tuple[str, ...]:
    return tuple(str(one) for one in filters or ())
