"""The images of a VM's containers: loaded, pulled or built when their jobs are installed, and kept in the VM."""

import base64
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from cpi_drivers.local.agent.commands import Commands
from cpi_drivers.local.agent.containers.document import Container, Registry
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.layout import write_private

_PROGRAM: Final = "cpi_drivers.local.agent.containers.in_room"
_LINES: Final = 10
_UNQUALIFIED: Final = 'unqualified-search-registries = ["docker.io"]\n'
_LOADED: Final = "Loaded image: "


class Images:
    """Those of one VM."""

    def __init__(self, folder: Path, commands: Commands) -> None:
        self._folder = folder
        self._commands = commands
        self.store = folder / "images"

    async def obtain(self, container: Container, folder: Path) -> str:
        """The image of a container as the engine names it, or its root folder. Raises Fault with the engine's last words."""
        if container.dockerfile:
            return await self._build(container, folder)
        if not container.image.startswith("/"):
            return await self._pull(container, folder)
        if is_folder(container.image):
            return container.image
        return await self._load(container, _archive(container))

    async def _load(self, container: Container, archive: Path) -> str:
        output = await self._run(container, "load", "--quiet", "--input", str(archive))
        names = [line.removeprefix(_LOADED).strip() for line in output.splitlines() if line.startswith(_LOADED)]
        if not names:
            raise Fault(f"container {container.name}: {archive} holds no image")
        return names[0]

    async def _pull(self, container: Container, folder: Path) -> str:
        registry = container.registry or Registry()
        options = []
        if registry.password is not None:
            pair = base64.b64encode(f"{registry.username}:{registry.password.reveal()}".encode()).decode()
            write_private(folder / "auth.json", json.dumps({"auths": {registry.server: {"auth": pair}}}))
            options += ["--authfile", str(folder / "auth.json")]
        if registry.ca:
            (folder / "certificates").mkdir(exist_ok=True)
            shutil.copyfile(registry.ca, folder / "certificates" / "ca.crt")
            options += ["--cert-dir", str(folder / "certificates")]
        mirrors = "".join(f'[[registry.mirror]]\nlocation = "{mirror}"\n' for mirror in registry.mirrors)
        settings = f'{_UNQUALIFIED}[[registry]]\nlocation = "{registry.server}"\n{mirrors}' if mirrors else _UNQUALIFIED
        await self._run(container, "pull", "--quiet", *options, container.image, registries=settings)
        return container.image

    async def _build(self, container: Container, folder: Path) -> str:
        file, context = Path(container.dockerfile), Path(container.context or folder / "context")
        if not container.dockerfile.startswith("/"):
            file = folder / "Dockerfile"
            write_private(file, container.dockerfile)
        elif not file.is_file():
            raise Fault(f"container {container.name}: there is no Dockerfile {file}")
        elif not container.context:
            context = file.parent
        if not container.context and context.parent == folder:
            context.mkdir(exist_ok=True)
        name = f"localhost/{container.name.lower()}:latest"
        where = ("--network", "host", "--isolation", "chroot", "--tag", name, "--file", str(file), str(context))
        await self._run(container, "build", *where)
        return name

    async def _run(self, container: Container, *words: str, registries: str = _UNQUALIFIED) -> str:
        self.store.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = self._folder / "registries.conf"
        write_private(settings, registries)
        command = (sys.executable, "-P", "-m", _PROGRAM, str(self.store), str(settings), *words)
        finished = await self._commands.attempt(*command)
        if finished.status != 0:
            said = [line for line in (finished.output + finished.errors).splitlines() if line.strip()]
            told = "".join(f"\n  {line}" for line in said[-_LINES:])
            raise Fault(f"container {container.name}: its image cannot be had ({words[0]} ended with {finished.status}):{told}")
        return finished.output


def _archive(container: Container) -> Path:
    path = Path(container.image)
    if not path.is_file():
        raise Fault(f"container {container.name}: the image {container.image} is neither an archive nor a root folder")
    return path


def is_folder(image: str) -> bool:
    """Whether an image is a root folder."""
    return image.startswith("/") and os.path.isdir(image)  # noqa: PTH112 - a string that may be no path
