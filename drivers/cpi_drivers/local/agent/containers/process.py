"""`python -m cpi_drivers.local.agent.containers.process FOLDER`: one container, from its start to its end, in a room of its own.

The agent supervises this program as any job. SIGTERM stops the container as its image wants it; when this program ends, however
that is, nothing of the container is left.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, Final

from cpi_drivers.local.agent.containers.cgroups import cgroup_of, remove_cgroups
from cpi_drivers.local.agent.containers.document import Container, read_container, signal_of
from cpi_drivers.local.agent.containers.engine import CONMON_PIDFILE, PIDFILE, ContainerEngine, Run
from cpi_drivers.local.agent.containers.forwarding import forward
from cpi_drivers.local.agent.containers.health import NeverWell, Watch, container_lives
from cpi_drivers.local.agent.containers.images import is_folder
from cpi_drivers.local.agent.containers.installed import DESCRIPTION, WELL
from cpi_drivers.local.agent.containers.log import ContainerLog
from cpi_drivers.local.agent.containers.room import SCRATCH, enter_room, leave_room
from cpi_drivers.local.agent.containers.volumes import made_volumes

_LOOK_SECONDS: Final = 0.25
_SOON_SECONDS: Final = 0.02
_CHUNK: Final = 1 << 16


class ContainerProcess:
    """One run of a container."""

    def __init__(self, folder: Path) -> None:
        described: dict[str, Any] = json.loads((folder / DESCRIPTION).read_bytes())
        self._folder = folder
        self._images = Path(described["images"])
        self._container: Container = read_container(described["document"])
        self._image = str(described["image"])
        self._address = os.environ["BOSH_ADDRESS"]
        self._engine = ContainerEngine.found()
        self._store = folder / "store"
        self._cgroup = cgroup_of(str(folder.parent.parent), self._container.name)
        root = Path(os.environ["BOSH_ROOT"])
        self._log = ContainerLog(root / "var" / "vcap" / "sys" / "log" / f"{self._container.name}.log")

    def prepare(self) -> None:
        """Nothing of a run before this one is in the way."""
        (self._folder / WELL).unlink(missing_ok=True)
        remove_cgroups(self._cgroup)
        shutil.rmtree(self._store, ignore_errors=True)
        self._store.mkdir(mode=0o700)

    def clear(self) -> None:
        """Removes what the kernel does not."""
        (self._folder / WELL).unlink(missing_ok=True)
        remove_cgroups(self._cgroup)

    async def live(self) -> int:
        """Until it ended, was stopped, or is not well; its exit status."""
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        env = {**self._container.env, "BOSH_ADDRESS": self._address, "BOSH_JOB_NAME": self._container.name}
        engine_env = {**env, **self._engine.environment()}
        run = await asyncio.create_subprocess_exec(
            *self._engine.command(self._store, *self._run(env).arguments(), images=self._lent),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=engine_env,
        )
        saying = asyncio.create_task(self._pump(run))
        ports = [forward(self._address, port) for port in self._container.ports() if port.host != port.container]
        watch = Watch(self._container, self._address, lambda *words: self._exec(env, *words))
        ends = {
            asyncio.create_task(run.wait(), name="ended"),
            asyncio.create_task(stopping.wait(), name="stopped"),
            asyncio.create_task(self._watch(watch), name="health"),
            asyncio.create_task(self._engine_gone(), name="engine"),
            *(asyncio.create_task(port, name="port") for port in ports),
        }
        done, left = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        status = await self._end(run, done)
        # what it said last; a process in it that lives on would keep the pipe open
        await asyncio.wait({saying}, timeout=1)
        return status

    @property
    def _lent(self) -> Path | None:
        return None if is_folder(self._image) else self._images

    def _run(self, env: dict[str, str]) -> Run:
        env_file = Path(f"{SCRATCH}/env")
        lines = [f"{name}={value}\n" for name, value in env.items() if "\n" not in value]
        env_file.write_text("".join(lines), encoding="utf-8", errors="surrogateescape")
        hosts = self._folder.parent / "hosts"
        if not hosts.exists():
            hosts.write_text(f"127.0.0.1 localhost\n{self._address} {self._container.name}\n", encoding="utf-8")
        folder = Path(os.environ["BOSH_STORE"]) / self._container.name
        volumes = made_volumes(folder, self._container.volumes())
        return Run(self._container, self._image, is_folder(self._image), volumes, hosts, env, env_file, self._cgroup)

    async def _end(self, run: asyncio.subprocess.Process, done: set[asyncio.Task[Any]]) -> int:
        names = {task.get_name() for task in done}
        if "ended" in names:
            status = run.returncode or 0
            self._log.note(f"the container ended with status {status}")
            return status
        for task in done:
            if error := task.exception():
                self._log.note(f"{error}")
        if "engine" in names:
            self._log.note("the engine's monitor died")
            return 1
        await self._stop(run)
        return 0 if "stopped" in names else 1

    async def _stop(self, run: asyncio.subprocess.Process) -> None:
        number = signal_of(self._container.stop_signal or ("SIGTERM" if is_folder(self._image) else ""))
        if number is not None:
            # the engine would take longer to start than most containers to end
            _signal_container(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._container.stop_grace):
                    while container_lives():  # noqa: ASYNC110 - no event tells of a process that is no child
                        await asyncio.sleep(_SOON_SECONDS)
            return
        await self._tool("stop", "--time", f"{self._container.stop_grace:.0f}", self._container.name)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(run.wait(), _LOOK_SECONDS * 20)

    async def _watch(self, watch: Watch) -> None:
        await watch.become_well()
        (self._folder / WELL).write_text(str(os.getpid()), encoding="ascii")
        await watch.stay_well()

    async def _engine_gone(self) -> None:
        while not _monitor_lives():  # noqa: ASYNC110 - no event tells of a process that is no child
            await asyncio.sleep(_LOOK_SECONDS)
        while _monitor_lives():  # noqa: ASYNC110 - as above
            await asyncio.sleep(_LOOK_SECONDS)
        if not container_lives():
            # the engine itself sees a container's end a moment later than its monitor, and knows the status
            await asyncio.sleep(_LOOK_SECONDS * 8)

    async def _exec(self, env: dict[str, str], *words: str) -> tuple[int, str]:
        from cpi_drivers.local.agent.containers.engine import filled

        return await self._tool("exec", self._container.name, *(filled(word, env) for word in words))

    async def _tool(self, *words: str) -> tuple[int, str]:
        tool = await asyncio.create_subprocess_exec(
            *self._engine.command(self._store, *words, images=self._lent),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._engine.environment(),
        )
        try:
            output, _ = await tool.communicate()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                tool.kill()
            raise
        return tool.returncode or 0, output.decode(errors="replace")

    async def _pump(self, run: asyncio.subprocess.Process) -> None:
        if run.stdout is not None:
            while words := await run.stdout.read(_CHUNK):
                self._log.write(words)


def _signal_container(number: int) -> None:
    """A child of this process is in the room, and knows the container by the number that it has there."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(Path(PIDFILE).read_text(encoding="ascii")), number)
        os._exit(0)
    os.waitpid(child, 0)


def _monitor_lives() -> bool:
    """Looks at the room's own /proc; the room's first process takes note of an end at once."""
    try:
        pid = Path(CONMON_PIDFILE).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return False
    return bool(pid) and Path(f"/proc/{pid}").exists()


def main(arguments: list[str]) -> int:
    """The container's exit status; 1 if it was never well, or is not any more."""
    process = ContainerProcess(Path(arguments[0]))
    process.prepare()
    first = enter_room()
    if sys.version_info < (3, 12):
        # the kernel lets the maker of a room start no threads, and later versions need none to wait for a child
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    try:
        return asyncio.run(process.live())
    finally:
        leave_room(first)
        process.clear()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (OSError, ValueError, NeverWell) as error:
        sys.exit(f"[agent] the container cannot be run: {error}")
