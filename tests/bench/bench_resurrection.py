"""From the kill of a VM to its jobs running, in its parts; and what it costs to watch a thousand agents over NATS.

python -m tests.bench.bench_resurrection [AGENTS] [SECONDS]
"""

import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cpi.agent.nats import BusTls, NatsBus
from cpi.contract.ids import StemcellCid, VmCid
from cpi.resurrection.alert import Alert, Kind
from cpi.resurrection.clouds import Clouds
from cpi.resurrection.durable.runner import Runner
from cpi.resurrection.instance import Instance
from cpi.resurrection.monitor import Monitor
from cpi.resurrection.pulse import Pulse
from cpi.resurrection.rules import Rules
from cpi.resurrection.watchfile import Watchfile
from fixtures.certificates import Pair
from fixtures.nats_server import NatsServer, nats_server
from tests.bench.measuring import show
from tests.resurrection.deployment import deployment_in
from tests.resurrection.monitors import kept_in, watching

_TICK_SECONDS = 0.3
_KILOBYTE = 1024


def main(agents: int, seconds: float) -> None:
    """Both tables."""
    with tempfile.TemporaryDirectory() as folder:
        _time_to_jobs_running(Path(folder))
    rows = []
    for silent in (False, True):
        with tempfile.TemporaryDirectory() as folder, nats_server(Path(folder)) as server:
            share, kilobytes = _watched(Path(folder), server, agents, seconds, silent=silent)
            how = "silent until asked" if silent else "a heartbeat every 30 s"
            rows.append((how, f"{100 * share:.1f} %", f"{kilobytes:.1f}"))
    show(f"watching {agents} agents over NATS for {seconds:g} s, agent_timeout 60 s", ("", "of one core", "KiB per agent"), rows)


def _time_to_jobs_running(folder: Path) -> None:
    with deployment_in(folder) as deployment:
        one = deployment.add("db/0")
        deployment.more = {"watch": {"agent_timeout": 3}}
        with watching(deployment) as watch:
            watch.for_seconds(4)
            killed = time.time()
            deployment.hurt(one)
            watch.until(lambda: (Kind.RECREATED, "db/0") in watch.told(), "it is recreated", 60)
            (tried,) = watch.runner.history().all()
    report = tried.report
    if report is None:
        raise RuntimeError("there is no report")
    rows = [("silent, judged, begun", f"{report.steps[0].began - killed:.2f}")]
    rows += [(step.name, f"{step.seconds:.2f}") for step in report.steps]
    rows.append(("kill to jobs running", f"{report.ended - killed:.2f}"))
    show("a VM of the local cloud is killed, agent_timeout 3 s", ("", "seconds"), rows)


def _watched(folder: Path, server: NatsServer, agents: int, seconds: float, *, silent: bool) -> tuple[float, float]:
    """The share of one core that the monitor takes, and what an agent adds to its memory."""
    told: list[Alert] = []
    tls = BusTls(server.authority.certificate, server.client.certificate, server.client.private_key)
    with contextlib.ExitStack() as made:
        made.enter_context(_fake_agents(folder, server, agents, silent=silent))
        clouds = made.enter_context(Clouds())
        runner = made.enter_context(Runner(kept_in(folder), sys.exit, told.append))
        bus = made.enter_context(NatsBus([server.url], tls))
        before = _resident()
        (folder / "cpi.json").write_text(
            json.dumps({"cloud": {"plugin": "local", "properties": {"local": {"root": str(folder)}}}})
        )
        plan = Watchfile(path=str(folder / "f.yml"), instances=tuple(_instance(folder, number) for number in range(agents)))
        pulse = made.enter_context(Pulse(Rules(), clouds, bus))
        monitor = made.enter_context(Monitor(plan, runner, pulse, clouds, told.append))
        _tick(monitor.tick, 35)
        began, clock = time.process_time(), time.monotonic()
        _tick(monitor.tick, seconds)
        share = (time.process_time() - began) / (time.monotonic() - clock)
        unwell = [view.name for view in monitor.views() if view.silent_seconds > Rules().agent_timeout]
    if told or unwell:
        raise RuntimeError(f"not all are well: {told} {unwell}")
    return share, (_resident() - before) / agents


def _tick(tick: Callable[[], None], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        tick()
        time.sleep(_TICK_SECONDS)


def _instance(folder: Path, number: int) -> Instance:
    from cpi.agent.reaching import Reach

    return Instance(
        name=f"i/{number}",
        config=str(folder / "cpi.json"),
        vm=VmCid(f"vm-{number}"),
        stemcell=StemcellCid("s"),
        networks={},
        group="i",
        agent_id=f"agent-{number}",
        agent=Reach(url="nats://bus:4222", agent_id=f"agent-{number}"),
    )


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / _KILOBYTE


@contextlib.contextmanager
def _fake_agents(folder: Path, server: NatsServer, agents: int, *, silent: bool) -> Iterator[None]:
    """In a process of their own, so that their cost is not the monitor's."""
    files = {"url": server.url, "ca": server.authority.certificate, **_texts(server.client), "agents": agents, "silent": silent}
    (folder / "agents.json").write_text(json.dumps(files))
    command = [sys.executable, "-m", "tests.bench.bench_resurrection", "--agents", str(folder / "agents.json")]
    process = subprocess.Popen(command)
    try:
        time.sleep(3)
        yield
    finally:
        process.kill()
        process.wait()


def _texts(pair: Pair) -> dict[str, str]:
    return {"certificate": pair.certificate, "key": pair.private_key}


async def _be_agents(told: dict[str, Any], folder: Path) -> None:
    import ssl

    from nats.aio.client import Client
    from nats.aio.msg import Msg

    context = ssl.create_default_context(cadata=told["ca"])
    (folder / "client.pem").touch(mode=0o600)
    (folder / "client.pem").write_text(told["certificate"] + told["key"])
    context.load_cert_chain(folder / "client.pem")
    client = Client()
    await client.connect([told["url"]], tls=context)
    state = {"job_state": "running", "vitals": {"cpu": {"user": "1.0"}, "mem": {"percent": "10"}}, "processes": []}

    async def answer(message: Msg) -> None:
        request = json.loads(message.data)
        await client.publish(request["reply_to"], json.dumps({"value": state}).encode())

    await client.subscribe("agent.>", cb=answer)
    while True:
        for number in range(told["agents"]):
            if not told["silent"]:
                await client.publish(f"hm.agent.heartbeat.agent-{number}", json.dumps(state).encode())
            await asyncio.sleep(30 / told["agents"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--agents"]:
        path = Path(sys.argv[2])
        asyncio.run(_be_agents(json.loads(path.read_text()), path.parent))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, float(sys.argv[2]) if len(sys.argv) > 2 else 60)
