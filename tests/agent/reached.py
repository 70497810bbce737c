"""The local cloud's agent, and a director's way to it: over HTTPS, or over a real NATS server."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cpi.agent.https import from_settings
from cpi.agent.nats import BusTls, NatsBus
from cpi.agent.protocol import Agent, Deadlines
from fixtures.nats_server import NatsServer, nats_server
from tests.drivers.local_agent.vm import AGENT_ID, Vm, eventually, make_certificate

_READY_SECONDS = 20
DEADLINES = Deadlines(message=15, task=20, ready=_READY_SECONDS)


class Reached(NamedTuple):
    """A VM whose agent answers, and the agent."""

    vm: Vm
    agent: Agent
    kind: str
    """ssh if it may have an SSH server, else exec."""

    def settings(self) -> dict[str, Any]:
        """What the agent was given."""
        return settings_of(self.vm)


def settings_of(vm: Vm) -> dict[str, Any]:
    """What the VM's agent was given."""
    document: dict[str, Any] = json.loads((vm.path / "settings.json").read_bytes())
    return document


def put_on_bus(vm: Vm, server: NatsServer, **own: object) -> None:
    """Gives the VM the bus as its mbus, and own as env.bosh.agent.settings."""
    pair = server.authority.signed(f"{AGENT_ID}.agent.bosh-internal")
    cert = {"ca": server.authority.certificate, "certificate": pair.certificate, "private_key": pair.private_key}
    change(vm, {"mbus": {"urls": [server.url], "cert": cert}, "agent": {"settings": own}})


def change(vm: Vm, bosh: Mapping[str, object]) -> None:
    """Lays keys over env.bosh in the VM's settings."""
    settings = settings_of(vm)
    settings["env"]["bosh"].update(bosh)
    (vm.path / "settings.json").write_text(json.dumps(settings))


def launch(vm: Vm) -> None:
    """Starts the agent, which may not answer yet."""
    launched = vm.launch()
    assert launched.returncode == 0, launched.stderr


def joined(server: NatsServer) -> NatsBus:
    """The director on the bus; the server's certificate is for its address."""
    return NatsBus([server.url], BusTls(server.authority.certificate, server.client.certificate, server.client.private_key))


@contextlib.contextmanager
def reached(transport: str, folder: Path, *, isolated: bool = False, **own: object) -> Iterator[Reached]:
    """Until the block ends."""
    with contextlib.ExitStack() as ending:
        vm = Vm(folder / "vm", make_certificate())
        ending.callback(vm.close)
        (vm.path / "launch.json").write_text(json.dumps({"isolate_mounts": isolated, "overlay": None, "command": None}))
        if transport == "https":
            change(vm, {"agent": {"settings": own}})
            agent = from_settings(settings_of(vm), DEADLINES)
        else:
            (folder / "nats").mkdir()
            server = ending.enter_context(nats_server(folder / "nats"))
            put_on_bus(vm, server, **own)
            agent = ending.enter_context(joined(server)).agent(AGENT_ID, DEADLINES)
        ending.enter_context(agent)
        launch(vm)
        eventually(lambda: "listening at" in vm.log() if transport == "https" else "on the bus" in vm.log(), vm.log)
        agent.wait_until_ready()
        yield Reached(vm, agent, "ssh" if own.get("ssh_server") else "exec")
