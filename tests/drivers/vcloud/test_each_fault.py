"""Each call of each method, struck once in each way."""

import pytest

from fixtures.clouds.vcloud.lab import Lab, refused
from fixtures.proxy import effects
from fixtures.simulated_time import SimulatedTime
from tests.drivers.each_fault import CASES, Bench, Way, strike
from tests.drivers.vcloud.conftest import Connect, Helper

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

_LOOK = "GET /api/task/{id}"
_WAYS = {
    "fails": Way(refused(500, "INTERNAL_SERVER_ERROR", "out of order")),
    "is lost": Way(effects.lost_answer()),
    "is reset": Way(effects.reset()),
    "finds it busy": Way(
        refused(400, "BUSY_ENTITY", "The entity is busy completing an operation"),
        passes=True,
        befalls=lambda request: not request.action.startswith(("GET", "HEAD")) and "transfer" not in request.path,
    ),
    "is throttled": Way(effects.answer(429, b"", {"Retry-After": "0"}), passes=True),
    "finds the session over": Way(refused(401, "NOT_AUTHENTICATED", "the session is over"), passes=True),
}


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("method", CASES)
def test_each_call_of_each_method(
    vcloud: Lab, connect: Connect, helper: Helper, monkeypatch: pytest.MonkeyPatch, method: str, way: str
) -> None:
    """The method gets past it, or a repeat does; nothing is left."""
    SimulatedTime().rule(monkeypatch)
    cloud = connect(control={"retry_max": 2})
    vm = helper.vm(cloud).cid
    bench = Bench(
        cloud,
        vcloud.proxy,
        vcloud.census,
        lambda token: helper.passing_vm(cloud, token),
        vm,
        lambda request: request.action == _LOOK,
    )
    if method == "calculate_vm_cloud_properties":
        assert strike(bench, method, _WAYS[way]) == 0  # it asks nothing
        return
    strike(bench, method, _WAYS[way])
