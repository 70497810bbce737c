"""A place to run the executable at: as a process of its own, with a configuration of the scripted driver."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from cpi.rpc.warm import launcher, starting

ROOT = Path(__file__).parents[2]
PASSWORD = 'quite"secret\\word'  # noqa: S105 - a secret made to be looked for
_ENTRY_POINT = "[cpi.drivers]\nscripted = tests.rpc.scripted_cloud:ScriptedCloud\n"


class Ran(NamedTuple):
    """What a run of the executable left."""

    response: dict[str, Any]
    stderr: str
    exit_status: int


class Executable(NamedTuple):
    """Where the executable runs, with what."""

    folder: Path
    config: Path
    plugins: Path

    @classmethod
    def in_folder(cls, folder: Path) -> Self:
        """A configuration and an installed plugin, below folder."""
        plugin = folder / "plugins" / "scripted-1.0.dist-info"
        plugin.mkdir(parents=True)
        (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted\nVersion: 1.0\n")
        (plugin / "entry_points.txt").write_text(_ENTRY_POINT)
        executable = cls(folder, folder / "cpi.json", folder / "plugins")
        executable.configure()
        return executable

    def configure(self, *, misbehave: Mapping[str, str] | None = None, properties: Mapping[str, Any] | None = None) -> None:
        """Write the configuration."""
        own = {"folder": str(self.folder), "misbehave": dict(misbehave or {}), "password": PASSWORD}
        document = {"cloud": {"plugin": "scripted", "properties": {"scripted": own, **(properties or {})}}}
        self.config.write_text(json.dumps(document))

    @property
    def command(self) -> list[str]:
        """The executable; its environment is part of it, since a director hands none over."""
        path = f"PYTHONPATH={self.plugins}{os.pathsep}{ROOT}"
        return ["/usr/bin/env", path, sys.executable, "-m", "cpi", "rpc", "--config", str(self.config)]

    def run(self, data: bytes, *arguments: str, **environment: str) -> Ran:
        """Once, with arguments after `cpi` (bare without any)."""
        variables = {**os.environ, "PYTHONPATH": f"{self.plugins}{os.pathsep}{ROOT}", **environment}
        command = [sys.executable, "-m", "cpi", *arguments]
        done = subprocess.run(command, input=data, env=variables, capture_output=True, check=False, timeout=120)
        return Ran(valid(done.stdout), done.stderr.decode(), done.returncode)

    def call(self, method: str, *arguments: object, version: int | None = 3, context: Mapping[str, Any] | None = None) -> Ran:
        """One request, as a director makes it."""
        return self.run(request(method, *arguments, version=version, context=context), "rpc", "--config", str(self.config))

    def calls(self) -> list[dict[str, Any]]:
        """What the driver was called with."""
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for(self, name: str) -> None:
        """Until the driver has made a file of this name."""
        deadline = time.monotonic() + 60
        while not (self.folder / name).exists():
            assert time.monotonic() < deadline, f"{name} was never made"
            time.sleep(0.01)


class ServedExecutable(Executable):
    """The same, its calls made by `cpi serve`. close ends that."""

    servers: ClassVar[dict[Path, subprocess.Popen[bytes]]] = {}
    sockets: ClassVar[dict[Path, str]] = {}

    def configure(self, *, misbehave: Mapping[str, str] | None = None, properties: Mapping[str, Any] | None = None) -> None:
        """Write the configuration, and have a process ready for it."""
        super().configure(misbehave=misbehave, properties=properties)
        self.close()
        self.serve()

    def serve(self, *, idle_seconds: float = 600, script: str = "") -> "subprocess.Popen[bytes]":
        """Have a process ready for the configuration as it is; script stands for its program."""
        variables = {**os.environ, "PYTHONPATH": f"{self.plugins}{os.pathsep}{ROOT}"}
        command = starting.command(str(self.config), idle_seconds)
        if script:
            command = [sys.executable, "-P", "-c", script, *command[-2:]]
        server = subprocess.Popen(command, env=variables)
        self.servers[self.folder] = server
        where = self.sockets[self.folder] = str(launcher.socket_path(str(self.config)))
        deadline = time.monotonic() + 60
        while not can_connect(where):
            assert server.poll() is None, "it ended"
            assert time.monotonic() < deadline, "it never listened"
            time.sleep(0.01)
        return server

    def close(self) -> None:
        """End it, and wait for the calls that it makes."""
        server = self.servers.pop(self.folder, None)
        if server is not None:
            server.terminate()
            server.wait(60)
            where = self.sockets.pop(self.folder)
            for left in (where, f"{where}.lock"):  # by a server that was killed
                Path(left).unlink(missing_ok=True)

    def warm_calls(self) -> int:
        """How often the driver was called in a child of the present server."""
        parents = self.folder / "parents"
        return parents.read_text().split().count(str(self.servers[self.folder].pid)) if parents.exists() else 0


def can_connect(where: str) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        return connection.connect_ex(where) == 0


def request(method: str, *arguments: object, version: int | None = 3, context: Mapping[str, Any] | None = None) -> bytes:
    """A request's bytes."""
    document = {"method": method, "arguments": arguments, "context": {"director_uuid": "director-1", **(context or {})}}
    return json.dumps(document if version is None else {**document, "api_version": version}).encode()


def valid(data: bytes) -> dict[str, Any]:
    """The response, if the director would take it."""
    response = json.loads(data.decode(), parse_constant=_refuse)
    assert set(response) == {"result", "error", "log"}
    assert isinstance(response["log"], str)
    error = response["error"]
    if error is not None:
        assert response["result"] is None
        assert {key: type(value) for key, value in error.items()} == {"type": str, "message": str, "ok_to_retry": bool}
        assert error["type"].startswith("Bosh::Clouds::")
    return dict(response)


def _refuse(name: str) -> None:
    raise ValueError(name)
