"""The local cloud's agent, and a director's way to it: over HTTPS, or over a real NATS server."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cpi.agent.https import from_settings
from cpi.agent.nats import BusTls, NatsBus
from cpi.agent.protocol import Agent, Deadlines
from fixtures.nats_server import NatsServer
from tests.drivers.local_agent.vm import AGENT_ID, Vm, eventually, make_certificate

_READY_SECONDS = 60
DEADLINES = Deadlines(message=60, task=60, ready=_READY_SECONDS)


class AgentInReach(NamedTuple):
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
def agent_in_reach(bus: NatsServer | None, folder: Path, *, isolated: bool = False, **own: object) -> Iterator[AgentInReach]:
    """Until the block ends: on the bus, or over HTTPS where there is none."""
    with contextlib.ExitStack() as ending:
        vm = Vm(folder / "vm", make_certificate())
        ending.callback(vm.close)
        (vm.path / "launch.json").write_text(json.dumps({"isolate_mounts": isolated, "overlay": None, "command": None}))
        if bus is None:
            change(vm, {"agent": {"settings": own}})
            agent = from_settings(settings_of(vm), DEADLINES)
        else:
            put_on_bus(vm, bus, **own)
            agent = ending.enter_context(joined(bus)).agent(AGENT_ID, DEADLINES)
        ending.enter_context(agent)
        launch(vm)
        eventually(lambda: "listening at" in vm.log() if bus is None else "on the bus" in vm.log(), vm.log)
        agent.wait_until_ready()
        yield AgentInReach(vm, agent, "ssh" if own.get("ssh_server") else "exec")
