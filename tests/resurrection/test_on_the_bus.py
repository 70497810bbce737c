"""Agents on the message bus: their heartbeats are enough, and a bus that is lost kills nobody."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cpi.agent.nats import BusTls, NatsBus
from cpi.resurrection.alert import Kind
from fixtures.nats_server import nats_server
from tests.resurrection.deployment import Deployment
from tests.resurrection.monitors import watching

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """For the server's files."""
    made = tmp_path / "nats"
    made.mkdir()
    return made


@pytest.fixture
def on_bus(deployment: Deployment, folder: Path) -> Iterator[Deployment]:
    """A deployment whose agents are on a bus."""
    with nats_server(folder) as server:
        tls = BusTls(server.authority.certificate, server.client.certificate, server.client.private_key)
        with NatsBus([server.url], tls) as bus:
            deployment.put_on_bus(server, bus)
            yield deployment


def test_a_vm_whose_heartbeats_cease_comes_back_under_a_new_agent_id(on_bus: Deployment) -> None:
    """The new agent's heartbeats are heard, and a second death is too."""
    one = on_bus.add("db/0")
    with watching(on_bus) as watch:
        watch.for_seconds(1.5)
        (view,) = watch.monitor.views()
        assert (view.condition, view.job_state) == ("well", "running")
        watch.alerts.clear()
        for times in (1, 2):
            on_bus.hurt(one)
            watch.until(lambda times=times: watch.told().count((Kind.RECREATED, "db/0")) == times, "it is recreated")  # type: ignore[misc]  # a default binds it
            watch.for_seconds(1.5)
        assert [told for told in watch.told() if told[0] is Kind.RECREATED] == 2 * [(Kind.RECREATED, "db/0")]
    on_bus.assert_well(one)
    on_bus.assert_nothing_left_over()


def test_a_bus_that_is_lost_kills_nobody(deployment: Deployment, folder: Path) -> None:
    """One alert, and nothing is recreated."""
    with nats_server(folder) as server:
        tls = BusTls(server.authority.certificate, server.client.certificate, server.client.private_key)
        bus = NatsBus([server.url], tls)
        deployment.put_on_bus(server, bus)
        one = deployment.add("db/0")
        with watching(deployment) as watch:
            watch.for_seconds(1.0)
            watch.alerts.clear()
            server_is_gone = Kind.BUS_LOST
            _stop(folder)
            watch.until(lambda: (server_is_gone, "") in watch.told(), "the bus is missed")
            watch.for_seconds(3.0)
            assert watch.told() == [(Kind.BUS_LOST, "")]
            assert watch.runner.history().all() == ()
        bus.close()
    assert deployment.vm_of(one) == one.first_vm


def _stop(folder: Path) -> None:
    """End the server of a folder, as its machine would."""
    import os
    import signal

    (ports,) = folder.glob("nats-server_*.ports")
    os.kill(int(ports.stem.rpartition("_")[2]), signal.SIGKILL)
