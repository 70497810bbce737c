"""An executable is killed after each call of each method: a sweep finds all that it left, and touches nothing else."""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.model import CallContext
from cpi.contract.operator import ListsTaggedResources
from cpi.kit.waiting import wait_until
from cpi.rpc import child
from cpi.rpc.client import ExternalCloud
from cpi.sweeping.known import KINDS, of_cids, of_nothing
from cpi.sweeping.leftovers import Wish, judged, leftovers
from fixtures.proxy import Answer, Effect, Forward, Proxy, Request, Rule
from fixtures.proxy.exchange import ResetConnection

DIRECTOR: Final = "d-of-the-test"
_MOST_CALLS: Final = 60
_SECONDS: Final = 120.0


class Method(NamedTuple):
    """A method, called how, and on what."""

    act: Callable[[Cloud, Any], object]
    prepare: Callable[[Cloud], Any] = lambda _: None


class Scene(NamedTuple):
    """A cloud by way of a proxy."""

    cloud: Cloud
    """In this process, for the same director."""

    config: Path
    start: child.Start
    proxies: Sequence[Proxy]
    census: Callable[[], object]
    known: Sequence[str]
    """The CIDs of what is not to be touched."""

    is_look: Callable[[Request], bool] = lambda _: False
    """Whether a request only asks how far something is: nobody is killed after those."""

    directors: frozenset[str] = frozenset({DIRECTOR})
    """Whose leftovers are swept."""


def kill_after_each_call(scene: Scene, method: Method) -> int:
    """How many times it was killed. After each, a sweep finds everything: the census is as before, foreign things included."""
    before = scene.census()
    for number in range(_MOST_CALLS):
        thing = method.prepare(scene.cloud)
        killed = _killed(scene, method, thing, number)
        _sweep_until(scene, before, f"killed after call number {number}")
        if not killed:
            return number
    raise AssertionError(f"it makes more than {_MOST_CALLS} calls")


def _sweep_until(scene: Scene, before: object, told: str) -> None:
    """Everything that is not known is deleted, as `cpi sweep --older-than 0h --delete` does, until all is as before.

    What a killed call began may still be going on in the cloud, which then refuses: so it is repeated, as the next sweep would.
    """
    assert isinstance(scene.cloud, ListsTaggedResources)
    lists, wish, found = scene.cloud, Wish(directors=scene.directors), dict[str, None]()
    known = of_cids(scene.known) | of_nothing(KINDS)

    def is_clean() -> bool:
        left = leftovers(judged(lists.tagged_resources(), known, wish))
        for one in left:
            found[f"{one.kind} {one.id}"] = None
            with contextlib.suppress(errors.CloudError):
                lists.delete_tagged_resource(one)
        return not left and scene.census() == before

    try:
        wait_until(is_clean, "something is left", deadline_seconds=_SECONDS)
    except errors.CloudError as error:
        raise AssertionError(f"{told}: the sweep found {list(found)}; {before} became {scene.census()}") from error


def _killed(scene: Scene, method: Method, thing: Any, number: int) -> str:
    """The action after whose carrying out the executable was killed; "" if it made fewer calls."""
    struck, dead, processes = threading.Event(), threading.Event(), list[child.Process]()
    rule = Rule("*", _held(struck, dead), when=_nth(scene, number))

    def start(command: Sequence[str], environment: Mapping[str, str] | None) -> child.Process:
        processes.append(scene.start(command, environment))
        return processes[-1]

    command = [sys.executable, "-m", "cpi", "rpc", "--config", str(scene.config)]
    outside = ExternalCloud(command, CallContext(director_uuid=DIRECTOR), capabilities=scene.cloud.capabilities, start=start)
    outside.info()  # the version of the API is asked for first
    for proxy in scene.proxies:
        proxy.inject(rule)
    caller = threading.Thread(target=_call, args=(method, outside, thing, struck))
    caller.start()
    try:
        assert struck.wait(_SECONDS), "neither ended nor struck"
        if rule.met:
            os.killpg(processes[-1].pid, signal.SIGKILL)
        dead.set()
        caller.join(_SECONDS)
        assert not caller.is_alive()
    finally:
        dead.set()
        for proxy in scene.proxies:
            proxy.withdraw(rule)
    return f"{number}" if rule.met else ""


def _call(method: Method, outside: Cloud, thing: Any, over: threading.Event) -> None:
    try:
        method.act(outside, thing)
    except errors.Error:
        assert over.is_set(), "it failed by itself"
    finally:
        over.set()


def _held(struck: threading.Event, dead: threading.Event) -> Effect:
    """The cloud does it; who asked never hears of it."""

    async def effect(request: Request, forward: Forward) -> Answer:
        await forward(request)
        struck.set()
        await asyncio.get_running_loop().run_in_executor(None, dead.wait, _SECONDS)
        raise ResetConnection

    return effect


def _nth(scene: Scene, number: int) -> Callable[[Request], bool]:
    count = itertools.count()
    return lambda request: not scene.is_look(request) and next(count) == number
