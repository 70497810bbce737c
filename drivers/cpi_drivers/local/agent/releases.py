"""What a director does with an agent for a release, beside apply: compile packages, hand over blobs, tell of other instances."""

import asyncio
import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cpi_drivers.local.agent.blobs import Blob, Blobs
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.layout import VmFolder, write_private
from cpi_drivers.local.agent.logs import Logs
from cpi_drivers.local.agent.packages import Compilation, Package, Packages, read_packages


class Releases:
    """Of one VM."""

    def __init__(self, vm: VmFolder, blobs: Blobs) -> None:
        self._vm = vm
        self._blobs = blobs
        self._packages = Packages(vm, blobs)
        self.logs = Logs(vm, blobs)

    async def compile_package(self, blob_id: str, digest: str, name: str, version: str, needs: Any = None) -> dict[str, Any]:
        """From the blobstore, to the blobstore."""
        (package,) = read_packages({name: {"version": version, "sha1": digest}})
        return await self._packages.compile(Compilation(Blob(digest, blob_id), package, read_packages(needs)))

    async def compile_package_with_signed_url(self, request: Any) -> dict[str, Any]:
        """From a signed URL, to a signed URL."""
        asked = _object(request)
        headers = asked.get("blobstore_headers") or {}
        digest = str(asked.get("digest") or "")
        package = Package(str(asked.get("name") or ""), str(asked.get("version") or ""), digest)
        (package,) = read_packages({package.name: {"version": package.version, "sha1": digest}})
        source = Blob(digest, "", str(asked.get("package_get_signed_url") or ""), headers)
        upload = str(asked.get("upload_signed_url") or "")
        return await self._packages.compile(Compilation(source, package, read_packages(asked.get("deps")), upload, headers))

    async def upload_blob(self, request: Any) -> str:
        """Keeps a blob in the VM that comes with the message."""
        asked = _object(request)
        blob_id, digest = str(asked.get("blob_id") or ""), str(asked.get("checksum") or "")
        try:
            payload = base64.b64decode(str(asked.get("payload") or ""), validate=True)
        except binascii.Error as error:
            raise Fault(f"the payload of the blob {blob_id} is not base64: {error}") from error
        found = hashlib.sha1(payload, usedforsecurity=False).hexdigest()
        if digest.removeprefix("sha1:") != found:
            raise Fault(f"the blob {blob_id} has the sha1 {found}, expected {digest}")
        await asyncio.to_thread(self._blobs.own(blob_id).write_bytes, payload)
        return blob_id

    async def sync_dns(self, blob_id: str, digest: str, version: Any) -> str:
        """Keeps the addresses of other instances, unless newer ones are here."""
        return await self._keep_records(Blob(digest, blob_id), version)

    async def sync_dns_with_signed_url(self, request: Any) -> str:
        """The same from a signed URL."""
        asked = _object(request)
        digest, headers = str(asked.get("multi_digest") or ""), asked.get("blobstore_headers") or {}
        return await self._keep_records(Blob(digest, "", str(asked.get("signed_url") or ""), headers), asked.get("version"))

    async def _keep_records(self, blob: Blob, version: Any) -> str:
        if not isinstance(version, int):
            raise Fault(f"the version of DNS records is a whole number, got {version!r}")
        if self._version_here() >= version:
            return "synced"
        draft = self._vm.path / "scratch"
        draft.mkdir(mode=0o700, exist_ok=True)
        file = draft / "records.json"
        await asyncio.to_thread(self._blobs.fetch, blob, file, "the DNS records")
        try:
            records = json.loads(file.read_bytes())
        except ValueError as error:
            raise Fault(f"the DNS records are no JSON document: {error}") from error
        if not isinstance(records, dict) or records.get("version") != version:
            raise Fault(f"the DNS records are not of version {version}")
        self._vm.dns_records.parent.mkdir(parents=True, exist_ok=True)
        write_private(self._vm.dns_records, json.dumps(records))
        return "synced"

    def _version_here(self) -> int:
        try:
            version = json.loads(self._vm.dns_records.read_bytes()).get("version")
        except (FileNotFoundError, ValueError, AttributeError):
            return -1
        return version if isinstance(version, int) else -1


def _object(request: Any) -> Mapping[str, Any]:
    if not isinstance(request, Mapping):
        raise Fault(f"Extracting method arguments from payload: expected an object, got {type(request).__name__}")
    return request
