"""The containers of a VM: installed when their spec is applied, and supervised as jobs."""

import asyncio
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cpi_drivers.local.agent.commands import Commands
from cpi_drivers.local.agent.containers.document import Container, read_containers
from cpi_drivers.local.agent.containers.engine import ContainerEngine
from cpi_drivers.local.agent.containers.images import Images
from cpi_drivers.local.agent.containers.log import last_lines
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.jobs import Job, documents_of
from cpi_drivers.local.agent.layout import VmFolder, write_private

_PROGRAM: Final = "cpi_drivers.local.agent.containers.process"
_ENGINE_SECONDS: Final = 20.0
WELL: Final = "well"
DESCRIPTION: Final = "container.json"


class Containers:
    """Those of one VM."""

    def __init__(self, vm: VmFolder) -> None:
        self._vm = vm
        self._folder = vm.path / "containers"
        self._images = Images(self._folder, Commands(vm.inherited))

    def jobs(self, spec: Mapping[str, Any], processes: Sequence[Job] = ()) -> tuple[Job, ...]:
        """As jobs for the supervisor. Raises Fault with all faults."""
        return tuple(map(self._job, _read(spec, processes)))

    def check(self, spec: Mapping[str, Any], processes: Sequence[Job] = ()) -> None:
        """Raises Fault for what cannot be run here."""
        containers = _read(spec, processes)
        if containers:
            try:
                ContainerEngine.found()
            except ValueError as error:
                names = ", ".join(container.name for container in containers)
                raise Fault(f"the containers {names} cannot be run: {error}") from error

    async def install(self, spec: Mapping[str, Any]) -> None:
        """Has the image of each container."""
        containers = _read(spec, ())
        documents = {str(document.get("name")): document for document in documents_of(spec)}
        for container in containers:
            folder = self._folder / container.name
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            image = await self._images.obtain(container, folder)
            described = {"document": documents[container.name], "image": image, "images": str(self._images.store)}
            write_private(folder / DESCRIPTION, json.dumps(described))

    async def forget_others(self, jobs: Sequence[Job]) -> None:
        """Removes what was kept for containers that are none of the jobs any more, once they are stopped."""
        names = {job.name for job in jobs}
        for known in list(self._folder.glob(f"*/{DESCRIPTION}")):
            if known.parent.name not in names:
                await asyncio.to_thread(shutil.rmtree, known.parent)

    def told(self, name: str) -> str:
        """The last lines of a container's log, for a message."""
        return "".join(f"\n  {line}" for line in last_lines(self._vm.logs / f"{name}.log"))

    def _job(self, container: Container) -> Job:
        folder = self._folder / container.name
        return Job(
            container.name,
            (sys.executable, "-P", "-m", _PROGRAM, str(folder)),
            depends_on=container.depends_on,
            drain=container.drain,
            stop_grace_seconds=container.stop_grace + _ENGINE_SECONDS,
            restart=container.restart,
            well=str(folder / WELL),
            description=repr(container),
        )


def _read(spec: Mapping[str, Any], processes: Sequence[Job]) -> tuple[Container, ...]:
    return read_containers(documents_of(spec), {job.name: job.depends_on for job in processes})
