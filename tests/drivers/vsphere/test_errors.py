"""What an error says at night: which server, which certificate, which privilege, and what can be done."""

import hashlib
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pyVmomi import vim

from cpi.contract import errors
from cpi.kit.settings import Secret
from cpi_drivers.vsphere.api.client import Client
from cpi_drivers.vsphere.api.errors import refusal
from cpi_drivers.vsphere.settings import Datacenter, VCenter
from fixtures.certificates import Authority
from fixtures.proxy import Answer, Request
from fixtures.web_server import web_server


def _client(folder: Path) -> Client:
    datacenter = Datacenter("DC", ("c",), datastore_pattern=".", persistent_datastore_pattern=".")
    return Client(VCenter("vcenter.invalid", "u", Secret("password"), (datacenter,), cache_folder=str(folder)))


def test_an_image_goes_to_a_host_with_the_certificate_that_the_lease_names(tmp_path: Path) -> None:
    """Of whichever issuer; the query of the URL is sent too. Another certificate is refused, and it is the host that is named."""
    seen: list[Request] = []

    def taken(request: Request) -> Answer:
        seen.append(request)
        return Answer(200, b"")

    with web_server(taken, Authority()) as url:
        host = urlsplit(url)
        shown = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((str(host.hostname), int(host.port or 0))))
        digest = hashlib.sha1(shown, usedforsecurity=False).hexdigest().upper()
        thumbprint = ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))

        def send(told: str | None) -> tuple[int, bytes]:
            return client.upload(
                "POST", urlsplit(f"{url}/nfc/disk.vmdk?ticket=1"), iter([b"data"]), {"Content-Length": "4"}, told
            )

        client = _client(tmp_path)
        assert send(thumbprint)[0] == 200
        assert [(request.path, request.query, request.body) for request in seen] == [("/nfc/disk.vmdk", "ticket=1", b"data")]
        with pytest.raises(errors.CloudError, match=rf"{url} cannot be reached: its certificate is not trusted: the thumbprint"):
            send("00:" + thumbprint[3:])
        with pytest.raises(
            errors.CloudError, match=rf"{url} cannot be reached: its certificate is not trusted.*ca_cert must hold"
        ):
            send(None)
        assert len(seen) == 1


def test_a_missing_privilege_is_named_with_what_it_is_missing_on() -> None:
    """Who has the vCenter's rights to give can give it."""
    fault: Any = vim.fault.NoPermission(object=vim.ResourcePool("resgroup-8"), privilegeId="Resource.AssignVMToPool")
    told = refusal("CloneVM_Task", fault)
    assert told.message.endswith("NoPermission: the privilege Resource.AssignVMToPool on ResourcePool resgroup-8 is missing")
