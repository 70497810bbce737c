"""Keystone and services on loopback that answer as a test says: what a control plane gives seldom, and at once."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cpi.connecting import connect
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, VmCid
from fixtures.proxy import Answer, Request

ID = "7b1f6d0e-6f0c-4bd3-9d3e-6e1f3f1f3a5"
VM, OTHER, DISK = VmCid(f"{ID}1"), VmCid(f"{ID}2"), DiskCid(f"{ID}3")
_TYPES = {"compute": "nova", "volumev3": "cinder", "network": "neutron", "image": "glance", "load-balancer": "octavia"}


def refused(status: int, body: Any, **headers: str) -> Answer:
    """An error as a service words it."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "text/html" if isinstance(body, bytes) else "application/json"
    return Answer(status, content, {"Content-Type": kind, **headers})


def gone(what: str = "it") -> Answer:
    """Nova's and Cinder's word for what is not there."""
    return refused(404, {"itemNotFound": {"code": 404, "message": f"{what} could not be found."}})


def neutron(kind: str, message: str) -> Answer:
    """Neutron's refusal."""
    return refused(409, {"NeutronError": {"type": kind, "message": message, "detail": ""}})


class Stub:
    """Keystone, and what the test says of the other services: by method and path, below the service's name."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.seen: list[Request] = []
        self.url = ""

    def __call__(self, request: Request) -> Answer:
        if request.path == "/identity/v3/auth/tokens":
            return Answer(201, json.dumps({"token": self._token()}).encode(), JSON | {"X-Subject-Token": "token-1"})
        self.seen.append(request)
        told = self.answers.get(f"{request.method} {request.path}", gone(request.path))
        told = told(request) if callable(told) else told
        return told if isinstance(told, Answer) else Answer(200, json.dumps(told).encode(), JSON)

    def calls(self, method: str) -> list[str]:
        """The paths that were asked for by a method."""
        return [request.path for request in self.seen if request.method == method]

    def _token(self) -> dict[str, Any]:
        catalogue = [
            {"type": kind, "name": name, "endpoints": [self._endpoint(name, "one"), self._endpoint(name, "two")]}
            for kind, name in _TYPES.items()
        ]
        project = {"id": "own", "name": "p", "domain": {"id": "d", "name": "d"}}
        user = {"id": "u", "name": "u", "domain": {"id": "d", "name": "d"}}
        when = {"issued_at": "2026-01-01T00:00:00.000000Z", "expires_at": "2999-01-01T00:00:00.000000Z"}
        return {"catalog": catalogue, "project": project, "user": user, "methods": ["password"], "roles": [], **when}

    def _endpoint(self, name: str, region: str) -> Mapping[str, str]:
        return {"id": name, "interface": "public", "region": region, "region_id": region, "url": f"{self.url}/{name}/v2"}


JSON = {"Content-Type": "application/json"}


def connected(stub: Stub, folder: Path, **own: Any) -> Cloud:
    """The driver; nothing is repeated, and no wait is long."""
    block = {
        "auth_url": f"{stub.url}/identity/v3",
        "username": "u",
        "api_key": "password-1",
        "project": "p",
        "domain": "d",
        "region": "one",
        "state_timeout": 60,
        "wait_resource_poll_interval": 0.01,
        "retry_config": {"default": {"max_attempts": 1, "sleep_duration": 0.01}},
        "cache_folder": str(folder),
        **own,
    }
    return connect({"cloud": {"plugin": "openstack", "properties": {"openstack": block}}})


def volume(status: str, *attachments: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Cinder's."""
    return {"volume": {"id": DISK, "status": status, "size": 1, "attachments": list(attachments), "volume_type": "t", **more}}
