"""Twenty instances that die at random, a monitor that is killed too, and a meltdown."""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from cpi.kit.waiting import wait_until
from cpi.resurrection.alert import Kind
from tests.resurrection.ground import Ground
from tests.resurrection.watching import kept_in, monitor_process, watching

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_CHAOS = int(os.environ.get("CHAOS", "0"))
"""How many seconds of chaos, from `make chaos`; it is short and small otherwise."""


def _filled(ground: Ground, count: int) -> Ground:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ground.add, [f"db/{number}" for number in range(count)]))
    return ground


def _hurt_somebody(ground: Ground) -> None:
    one = random.choice(ground.instances)  # noqa: S311 - not for secrets
    what = random.choice(["vm", "agent", "job", "gone"])  # noqa: S311 - not for secrets
    if what != "job":
        ground.hurt(one, what)
        return
    for process in psutil.process_iter(["environ"]):
        if (process.info["environ"] or {}).get("BOSH_ADDRESS") == one.address and process.pid != os.getpid():
            process.kill()
            return


def test_whatever_dies_comes_back_and_no_acknowledged_row_is_lost(ground: Ground) -> None:
    """VMs, agents, jobs and the monitor itself are killed at random; nothing is left over in the end."""
    _filled(ground, 20 if _CHAOS else 5)
    ground.more = {"groups": {"db": {"at_once": 4}}}
    file, end = ground.file, time.monotonic() + (_CHAOS or 5)
    while time.monotonic() < end:
        with monitor_process(file, kept_in(ground.folder)):
            stop = min(end, time.monotonic() + random.uniform(3, 12))  # noqa: S311 - not for secrets
            while time.monotonic() < stop:
                _hurt_somebody(ground)
                time.sleep(random.uniform(0.2, 1.5))  # noqa: S311 - not for secrets
    with monitor_process(file, kept_in(ground.folder)):
        wait_until(lambda: all(map(ground.is_well, ground.instances)), "all are well", deadline_seconds=60 + _CHAOS)
        time.sleep(3)
        wait_until(lambda: all(map(ground.is_well, ground.instances)), "all stay well", deadline_seconds=60 + _CHAOS)
    for one in ground.instances:
        ground.assert_well(one)
    ground.assert_nothing_left_over()


def test_a_meltdown_is_one_alert_and_no_recreation(ground: Ground) -> None:
    """Thirty in a hundred at once: nobody touches anything, until people have."""
    _filled(ground, 10)
    ground.more = {"watch": {"agent_timeout": 6.0, "meltdown": {"count": 3, "percent": 20}}}  # agents of a busy machine are late
    with watching(ground) as there:
        there.for_seconds(2)
        for one in ground.instances[:3]:
            ground.hurt(one)
        there.until(lambda: there.monitor.is_meltdown, "it is seen")
        there.for_seconds(3)
        assert there.told() == [(Kind.MELTDOWN, "")]
        assert there.runner.history().all() == ()
    assert {ground.vm_of(one) for one in ground.instances} == {one.first_vm for one in ground.instances}
    for one in ground.instances[3:]:
        ground.assert_well(one)
