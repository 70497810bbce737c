"""Twenty instances that die at random, a monitor that is killed too, and a meltdown."""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from cpi.kit.waiting import wait_until
from cpi.resurrection.alert import Kind
from tests.resurrection.deployment import Deployment
from tests.resurrection.monitors import kept_in, monitor_process, watching

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_CHAOS = int(os.environ.get("CHAOS", "0"))
"""How many seconds of chaos, from `make chaos`; it is short and small otherwise."""


def _filled(deployment: Deployment, count: int) -> Deployment:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(deployment.add, [f"db/{number}" for number in range(count)]))
    return deployment


def _hurt_somebody(deployment: Deployment) -> None:
    one = random.choice(deployment.instances)  # noqa: S311 - not for secrets
    what = random.choice(["vm", "agent", "job", "gone"])  # noqa: S311 - not for secrets
    if what != "job":
        deployment.hurt(one, what)
        return
    for process in psutil.process_iter(["environ"]):
        if (process.info["environ"] or {}).get("BOSH_ADDRESS") == one.address and process.pid != os.getpid():
            process.kill()
            return


def test_whatever_dies_comes_back_and_no_acknowledged_row_is_lost(deployment: Deployment) -> None:
    """VMs, agents, jobs and the monitor itself are killed at random; nothing is left over in the end."""
    _filled(deployment, 20 if _CHAOS else 4)
    deployment.more = {"groups": {"db": {"at_once": 4}}}
    file, end = deployment.file, time.monotonic() + (_CHAOS or 5)
    while time.monotonic() < end:
        with monitor_process(file, kept_in(deployment.folder)):
            stop = min(end, time.monotonic() + random.uniform(3, 12))  # noqa: S311 - not for secrets
            while time.monotonic() < stop:
                _hurt_somebody(deployment)
                time.sleep(random.uniform(0.2, 1.5))  # noqa: S311 - not for secrets
    with monitor_process(file, kept_in(deployment.folder)):
        wait_until(lambda: all(map(deployment.is_well, deployment.instances)), "all are well", deadline_seconds=240 + _CHAOS)
        time.sleep(3)
        wait_until(lambda: all(map(deployment.is_well, deployment.instances)), "all stay well", deadline_seconds=240 + _CHAOS)
    for one in deployment.instances:
        deployment.assert_well(one)
    deployment.assert_nothing_left_over()


def test_a_meltdown_is_one_alert_and_no_recreation(deployment: Deployment) -> None:
    """Half of them at once: nobody touches anything, until people have."""
    _filled(deployment, 6)
    deployment.more = {
        "watch": {"agent_timeout": 6.0, "meltdown": {"count": 3, "percent": 20}}
    }  # agents of a busy machine are late
    with watching(deployment) as watch:
        watch.for_seconds(2)
        for one in deployment.instances[:3]:
            deployment.hurt(one)
        watch.until(lambda: watch.monitor.is_meltdown, "it is seen")
        watch.for_seconds(3)
        assert watch.told() == [(Kind.MELTDOWN, "")]
        assert watch.runner.history().all() == ()
    assert {deployment.vm_of(one) for one in deployment.instances} == {one.first_vm for one in deployment.instances}
    for one in deployment.instances[3:]:
        deployment.assert_well(one)
