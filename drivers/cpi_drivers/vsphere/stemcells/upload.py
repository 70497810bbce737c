"""An OVF into a vCenter: a lease, its disks streamed to where the lease says, and a sign of life while that lasts."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, Final
from urllib.parse import urlsplit

from cpi.contract import errors
from cpi.kit.ovf_image import OvfImage
from cpi.kit.waiting import wait_until
from cpi_drivers.vsphere.api.client import Client, Reference, vim
from cpi_drivers.vsphere.api.placement import Place

_log = logging.getLogger(__name__)

_CHUNK: Final = 1 << 20
_HEARTBEAT_SECONDS: Final = 15.0
_LEASE_SECONDS: Final = 300.0


class Importing:
    """Makes VMs of images."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def run(self, image: OvfImage, name: str, place: Place, folder: Reference) -> Reference:
        """The VM. What was begun is given up by the vCenter when this fails."""
        made = self._spec(image, name, place)
        lease = self._client.call(
            place.pool, "ImportVApp", spec=made.importSpec, folder=folder, host=place.host.reference if place.host else None
        )
        try:
            entity, urls = self._ready(lease)
            total = sum(image.size(item.path) for item in made.fileItem)
            sent = 0
            for item in made.fileItem:
                with image.file(item.path) as file:
                    self._upload(
                        file, image.size(item.path), urls[item.deviceId], _Progress(self._client, lease, sent, total), item
                    )
                sent += image.size(item.path)
            self._client.call(lease, "HttpNfcLeaseComplete", idempotent=True)
        except BaseException:
            self._give_up(lease)
            raise
        return entity

    def _spec(self, image: OvfImage, name: str, place: Place) -> Any:
        asked = vim.OvfManager.CreateImportSpecParams(entityName=name, locale="US", deploymentOption="", diskProvisioning="thin")
        made = self._client.call(
            self._client.manager("ovfManager"),
            "CreateImportSpec",
            idempotent=True,
            ovfDescriptor=image.descriptor.decode("utf-8"),
            resourcePool=place.pool,
            datastore=place.store.reference,
            cisp=asked,
        )
        if made.error or made.importSpec is None:
            told = "; ".join(str(fault.msg or type(fault).__name__) for fault in made.error or ())
            raise errors.CpiError(f"the vCenter does not take the image's OVF: {told or 'it makes nothing of it'}")
        return made

    def _ready(self, lease: Reference) -> tuple[Reference, dict[str, tuple[str, str | None]]]:
        def look() -> dict[str, Any] | None:
            seen = self._client.read([lease], {vim.HttpNfcLease: ("state", "info", "error")})[lease]
            if seen.get("state") == "error":
                raise errors.CloudError(f"the vCenter gave up the import: {getattr(seen.get('error'), 'msg', '')}")
            return seen if seen.get("state") == "ready" else None

        info = wait_until(look, "the lease of an import", deadline_seconds=_LEASE_SECONDS)["info"]
        return info.entity, {url.importKey: _where(url, self._client.where.host) for url in info.deviceUrl}

    def _upload(self, file: IO[bytes], size: int, where: tuple[str, str | None], progress: "_Progress", item: Any) -> None:
        headers = {"Content-Length": str(size), "Overwrite": "t", "Content-Type": "application/x-vnd.vmware-streamVmdk"}
        method = "PUT" if item.create else "POST"
        url, thumbprint = urlsplit(where[0]), where[1]
        status, _ = self._client.upload(method, url, _chunks(file, progress), headers, thumbprint)
        if status >= 300:  # noqa: PLR2004 - HTTP's successes end here
            raise errors.CloudError(f"uploading {item.path}: {url.hostname} answered {status}")

    def _give_up(self, lease: Reference) -> None:
        try:
            self._client.call(lease, "HttpNfcLeaseAbort", idempotent=True)
        except errors.CloudError as error:
            _log.info("the lease of the import is left to end by itself: %s", error)


def _where(url: Any, host: str) -> tuple[str, str | None]:
    """The URL of an upload, and the thumbprint of the certificate there: a host that stands for itself has a `*`."""
    return url.url.replace("*", host), url.sslThumbprint or None


class _Progress:
    """Keeps a lease alive: one that hears nothing for minutes ends."""

    def __init__(
        self, client: Client, lease: Reference, before: int, total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client, self._lease, self._total, self._clock = client, lease, total, clock
        self._sent, self._told = before, clock()

    def add(self, count: int) -> None:
        """So many bytes more."""
        self._sent += count
        if self._clock() - self._told >= _HEARTBEAT_SECONDS:
            percent = min(99, 100 * self._sent // max(self._total, 1))
            self._client.call(self._lease, "HttpNfcLeaseProgress", idempotent=True, percent=percent)
            _log.info("%d %% of the image is uploaded", percent)
            self._told = self._clock()


def _chunks(file: IO[bytes], progress: _Progress) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
        progress.add(len(chunk))
