"""Files on datastores: read and written by HTTP, searched, moved and removed by SOAP."""

from typing import Any
from urllib.parse import quote, urlencode

from cpi.contract import errors
from cpi_drivers.vsphere.api.client import Client, vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.datastores import Store
from cpi_drivers.vsphere.api.errors import THROTTLED, Refused, Throttled
from cpi_drivers.vsphere.api.retries import at_length

GONE = frozenset({"FileNotFound", "CannotDeleteFile", "InvalidDatastorePath"})
_UNAUTHORIZED = 401
_NOT_FOUND = 404


class Files:
    """Those of one datacenter."""

    def __init__(self, client: Client, site: Site) -> None:
        self._client = client
        self._site = site

    def read(self, store: str, path: str) -> bytes | None:
        """Its content; None if there is none."""
        status, body = self._transfer("GET", store, path)
        if status == _NOT_FOUND:
            return None
        _refuse(status, f"reading [{store}] {path}")
        return body

    def write(self, store: str, path: str, content: bytes) -> None:
        """Made, or put in place of what was there."""
        status, _ = self._transfer("PUT", store, path, content)
        _refuse(status, f"writing [{store}] {path}")

    def remove(self, whole: str) -> None:
        """A file or a folder with all in it, by `[datastore] path`; what is not there is gone."""
        try:
            self._client.done(
                self._client.manager("fileManager"),
                "DeleteDatastoreFile_Task",
                f"removing {whole}",
                if_lost=GONE,
                name=whole,
                datacenter=self._site.reference,
            )
        except Refused as error:
            if error.fault != "FileNotFound":
                raise

    def move(self, whole: str, to: str) -> None:
        """A file, if it is there."""
        manager, datacenter = self._client.manager("fileManager"), self._site.reference
        names = {"sourceName": whole, "destinationName": to, "sourceDatacenter": datacenter, "destinationDatacenter": datacenter}
        try:
            self._client.done(manager, "MoveDatastoreFile_Task", f"moving {whole}", if_lost=GONE, force=True, **names)
        except Refused as error:
            if error.fault != "FileNotFound":
                raise

    def make_folder(self, whole: str) -> None:
        """With all above it."""
        manager = self._client.manager("fileManager")
        arguments = {"name": whole, "datacenter": self._site.reference, "createParentDirectories": True}
        try:
            self._client.call(manager, "MakeDirectory", idempotent=True, **arguments)
        except Refused as error:
            if error.fault != "FileAlreadyExists":
                raise

    def search(self, stores: list[Store], folder: str, names: list[str]) -> list[tuple[Store, Any]]:
        """The files of these names in a folder of each datastore; a VMDK with its size."""
        query = vim.host.DatastoreBrowser.VmDiskQuery(
            details=vim.host.DatastoreBrowser.VmDiskQuery.Details(
                capacityKb=True, diskType=True, thin=True, hardwareVersion=False, diskExtents=False, controllerType=False
            )
        )
        spec = vim.host.DatastoreBrowser.SearchSpec(
            query=[query, vim.host.DatastoreBrowser.Query()],
            details=vim.host.DatastoreBrowser.FileInfo.Details(fileType=True, fileSize=True, modification=False, fileOwner=False),
            matchPattern=names,
        )
        tasks = [
            (
                store,
                self._client.call(
                    store.browser,
                    "SearchDatastore_Task",
                    idempotent=True,
                    datastorePath=f"[{store.name}] {folder}",
                    searchSpec=spec,
                ),
            )
            for store in stores
        ]
        return [(store, file) for store, task in tasks for file in self._searched(store, task)]

    def _searched(self, store: Store, task: Any) -> list[Any]:
        try:
            return list(self._client.finished(task, f"searching {store.name}").file)
        except Refused as error:
            if error.fault != "FileNotFound":
                raise
            return []

    def _transfer(self, method: str, store: str, path: str, content: bytes | None = None) -> tuple[int, bytes]:
        asked = f"/folder/{quote(path)}?{urlencode({'dcPath': self._site.datacenter.name, 'dsName': store})}"
        headers = {"Content-Type": "application/octet-stream"} if content is not None else {}

        def attempt() -> tuple[int, bytes]:
            answer = self._client.transfer(method, asked, content, headers)
            if answer[0] == _UNAUTHORIZED:
                self._client.renew()
                answer = self._client.transfer(method, asked, content, headers)
            if answer[0] in THROTTLED:
                raise Throttled(f"{method} [{store}] {path}: the vCenter answered {answer[0]}")
            return answer

        return at_length(attempt, Throttled)


def _refuse(status: int, what: str) -> None:
    if status >= 300:  # noqa: PLR2004 - HTTP's successes end here
        raise errors.CloudError(f"{what}: the vCenter answered {status}")
