"""Each call of each method, struck once in each way."""

import pytest

from cpi.contract.ids import VmCid
from fixtures.clouds.vcsim.answers import fault
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Request, effects
from fixtures.simulated_time import SimulatedTime
from tests.drivers.each_fault import CASES, Bench, Way, strike
from tests.drivers.vsphere.conftest import Helper, is_poll

pytestmark = [pytest.mark.slow, pytest.mark.nightly]


def _is_soap(request: Request) -> bool:
    return not request.path.startswith("/folder/") and request.action != "Login"


_WAYS = {
    "fails": Way(effects.answer(500, fault("SystemError").body)),
    "is lost": Way(effects.lost_answer()),
    "is reset": Way(effects.reset()),
    "is throttled": Way(effects.answer(503, b""), passes=True),
    "finds the session over": Way(effects.answer(500, fault("NotAuthenticated").body), passes=True, befalls=_is_soap),
}


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("method", CASES)
def test_each_call_of_each_method(vcenter: Lab, helper: Helper, monkeypatch: pytest.MonkeyPatch, method: str, way: str) -> None:
    """The method gets past it, or a repeat does; nothing is left."""
    SimulatedTime().rule(monkeypatch)

    def make_vm(token: str) -> VmCid:
        return helper.vm(token=token).cid

    bench = Bench(helper.cloud, vcenter.proxy, vcenter.census, make_vm, helper.vm().cid, is_poll)
    strike(bench, method, _WAYS[way])
