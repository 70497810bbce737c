"""A VM folder with a real agent process in it, and a director's side of the talk."""

import datetime as dt
import fcntl
import ipaddress
import json
import os
import secrets
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx
import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cpi.contract.ids import AgentId
from cpi.contract.model import AgentDefaults, Network
from cpi.kit.agent_settings import agent_settings
from fixtures.ports import own_port

T = TypeVar("T")

AGENT_ID = "11111111-2222-3333-4444-555555555555"
USER = "vcap"


class Certificate(NamedTuple):
    """PEM of a certificate for 127.0.0.1 that is its own authority, and of its key."""

    certificate: str
    private_key: str


def make_certificate() -> Certificate:
    """One that is good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "agent")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Certificate(certificate.public_bytes(pem).decode(), private.decode())


class AgentSaysNoError(AssertionError):
    """The agent answered an exception; its message is this one's."""


class Vm:
    """Everything it starts is ended by close()."""

    def __init__(self, path: Path, certificate: Certificate, env: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self.root = path / "root"
        self.store = self.root / "var/vcap/store"
        self.target = self.root / "var/vcap/store_migration_target"
        self.password = secrets.token_hex(8)
        self.port = own_port()
        self.certificate = certificate
        self.root.mkdir(parents=True)
        self.write_settings(env or {})
        self.http = httpx.Client(verify=self.tls(), auth=(USER, self.password), timeout=60, trust_env=False)

    @property
    def url(self) -> str:
        """Where the agent takes messages."""
        return f"https://127.0.0.1:{self.port}/agent"

    def tls(self) -> ssl.SSLContext:
        """Trusts this VM's certificate alone."""
        return ssl.create_default_context(cadata=self.certificate.certificate)

    def mbus(self, port: int, password: str) -> dict[str, Any]:
        """What env.bosh.mbus and update_settings hold."""
        cert = {"ca": self.certificate.certificate, **self.certificate._asdict()}
        return {"urls": [f"https://{USER}:{password}@127.0.0.1:{port}"], "cert": cert}

    def write_settings(self, env: Mapping[str, Any], disks: Mapping[str, Any] | None = None) -> None:
        """The document a driver would write, with these disks attached."""
        networks = {"default": Network(type="dynamic", ip="127.0.0.1")}
        whole = {**env, "bosh": {**env.get("bosh", {}), "mbus": self.mbus(self.port, self.password)}}
        settings = agent_settings(AgentId(AGENT_ID), "vm-1", networks, whole, AgentDefaults())
        settings["disks"]["persistent"] = dict(disks or {})
        draft = self.path / "settings.new"
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(settings))
        draft.replace(self.path / "settings.json")

    def attach(self, disks: Mapping[str, Any]) -> None:
        """Write exactly these disks' hints into the settings."""
        settings = json.loads((self.path / "settings.json").read_text())
        self.write_settings(settings["env"], disks)

    def launch(self) -> subprocess.CompletedProcess[str]:
        """Start the agent as the driver does; its answer."""
        command = [sys.executable, "-m", "cpi_drivers.local.agent", "--vm-dir", str(self.path)]
        return subprocess.run(command, start_new_session=True, capture_output=True, text=True, timeout=60, check=False)

    def start(self) -> "Vm":
        """Start the agent, and wait until it answers."""
        launched = self.launch()
        assert launched.returncode == 0, launched.stderr
        self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        """Until ping is answered."""
        eventually(self._answers, lambda: f"the agent did not come up: {self.log()}")

    def _answers(self) -> bool:
        try:
            return bool(self.call("ping") == "pong")
        except httpx.TransportError:
            return False

    def log(self) -> str:
        """What the agent wrote to its log."""
        return (self.path / "agent.log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The agent's process, which leads the VM's group."""
        return int((self.path / "agent.lock").read_text())

    def is_alive(self) -> bool:
        """Whether any process of the VM holds its lock."""
        with (self.path / "agent.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def lose(self) -> None:
        """Kill the VM's process group."""
        if self.path.exists() and (self.path / "agent.lock").exists() and self.is_alive():
            os.killpg(self.pid, signal.SIGKILL)
            self.wait_until_gone()

    def wait_until_gone(self) -> None:
        """Until the lock is free."""
        eventually(lambda: not self.is_alive(), lambda: f"processes of the VM are left: {self.log()}")

    def reboot(self) -> None:
        """Lose it and start it again."""
        self.lose()
        self.start()

    def close(self) -> None:
        """End it, and let go of the connection."""
        self.http.close()
        self.lose()

    def reply(self, method: str, *arguments: Any, protocol: int | None = 3) -> Any:
        """The reply document to a message."""
        request = {"method": method, "arguments": list(arguments), "reply_to": "director"}
        # not json=: httpx takes no lone surrogates, which stand for bytes that are no text
        body = json.dumps(request if protocol is None else {**request, "protocol": protocol})
        answer = self.http.post(self.url, content=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def call(self, method: str, *arguments: Any) -> Any:
        """The value a message is answered with at once."""
        reply = self.reply(method, *arguments)
        if "exception" in reply:
            raise AgentSaysNoError(reply["exception"]["message"])
        return reply["value"]

    def done(self, method: str, *arguments: Any) -> Any:
        """The value of a long message, once it is done."""
        marker = self.call(method, *arguments)
        assert set(marker) == {"agent_task_id", "state"}
        assert marker["state"] == "running"
        return self.result(marker)

    def result(self, marker: Any) -> Any:
        """What a task came to."""
        answers: list[Any] = []

        def is_done() -> bool:
            answers.append(self.call("get_task", marker["agent_task_id"]))
            return bool(answers[-1] != marker)

        eventually(is_done, lambda: "the task did not end")
        return answers[-1]

    def run_jobs(self, *jobs: Mapping[str, Any]) -> None:
        """Apply a spec with these jobs, and start them."""
        assert self.done("apply", {"jobs": list(jobs)}) == "applied"
        assert self.call("start") == "started"

    def job_states(self) -> dict[str, str]:
        """The state of each job by its name."""
        return {process["name"]: process["state"] for process in self.call("get_state").get("processes", [])}

    def wait_for_job_state(self, state: str) -> None:
        """Until job_state is that."""
        eventually(lambda: self.call("get_state")["job_state"] == state, lambda: f"{self.call('get_state')}\n{self.log()}")


def lives(process: psutil.Process) -> bool:
    """Whether it is more than a process table's memory of one."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def eventually(probe: Callable[[], T], why: Callable[[], str], seconds: float = 60) -> T:
    """The first true answer of probe; fails with why after seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := probe():
            return answer
        time.sleep(0.02)
    raise AssertionError(why())
