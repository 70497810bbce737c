"""Each call of each method that makes no VM, struck once in each way, at a real control plane."""

import json
from typing import Any, cast

import pytest

from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.contract.model import Vm
from fixtures.clouds.openstack.lab import Lab
from fixtures.proxy import Proxy, Rule, effects
from tests.drivers.each_fault import CASES, Bench, Way, strike
from tests.drivers.openstack.test_faults import BROKEN

pytestmark = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(900)]

_METHODS = [method for method in CASES if method not in {"create_vm", "delete_vm", "reboot_vm"}]  # test_faults strikes these
_OVER = json.dumps({"error": {"code": 401, "title": "Unauthorized", "message": "no token"}})
_WAYS = {
    "fails": Way(BROKEN),
    "is lost": Way(effects.lost_answer()),
    "is throttled": Way(effects.answer(429, b"", {"Retry-After": "0"}), passes=True),
    "finds the token over": Way(
        effects.answer(401, _OVER.encode(), {"Content-Type": "application/json", "WWW-Authenticate": "Keystone uri=x"}),
        passes=True,
        befalls=lambda request: "/auth/tokens" not in request.path,
    ),
}


class _Everywhere:
    """The proxies of all services as one."""

    def __init__(self, project: Lab) -> None:
        self._proxies = project.proxies.values()

    def inject(self, rule: Rule) -> None:
        """At each."""
        for proxy in self._proxies:
            proxy.inject(rule)

    def withdraw(self, rule: Rule) -> None:
        """From each."""
        for proxy in self._proxies:
            proxy.withdraw(rule)


def _no_vm(_: str) -> VmCid:
    raise AssertionError


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("method", _METHODS)
def test_each_call_of_each_method(project: Lab, cloud: Cloud, vm: Vm, method: str, way: str) -> None:
    """The method gets past it, or a repeat does; nothing is left."""
    everywhere: Any = _Everywhere(project)
    bench = Bench(cloud, cast("Proxy", everywhere), project.census, _no_vm, vm.cid, lambda _: False)
    assert strike(bench, method, _WAYS[way]) > 0 or way == "finds the token over"
