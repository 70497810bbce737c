"""Each call of each method, struck once in each way."""

import pytest

from fixtures.clouds.cloudstack.lab import Lab
from fixtures.proxy import effects
from fixtures.simulated_time import SimulatedTime
from tests.drivers.cloudstack.conftest import Connect, Helper
from tests.drivers.cloudstack.test_faults import refused
from tests.drivers.each_fault import CASES, Bench, Way, strike

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

_WAYS = {
    "fails": Way(refused(530)),
    "is lost": Way(effects.lost_answer()),
    "is reset": Way(effects.reset()),
    "is throttled": Way(refused(429, "api limit reached, please retry after 10 ms."), passes=True),
}


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("method", CASES)
def test_each_call_of_each_method(
    cloudstack: Lab, connect: Connect, helper: Helper, monkeypatch: pytest.MonkeyPatch, method: str, way: str
) -> None:
    """The method gets past it, or a repeat does; nothing is left."""
    SimulatedTime().rule(monkeypatch)
    cloud = connect(max_attempts=2)
    vm = helper.vm(cloud).cid
    bench = Bench(
        cloud,
        cloudstack.proxy,
        cloudstack.census,
        lambda token: helper.passing_vm(cloud, token),
        vm,
        lambda request: request.action == "queryAsyncJobResult",
    )
    assert strike(bench, method, _WAYS[way]) > 0
