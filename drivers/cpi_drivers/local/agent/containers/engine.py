"""The container engine: podman, through its command line. Finds it, and builds its lists of arguments."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from cpi_drivers.local.agent.containers.document import Container
from cpi_drivers.local.agent.containers.mappings import Volume
from cpi_drivers.local.agent.containers.room import SCRATCH

_PATH: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")
_RUNTIMES: Final = ("runc", "crun")
_MOST_FILES: Final = 65536
_MOST_PROCESSES: Final = 32768
CONMON_PIDFILE: Final = f"{SCRATCH}/conmon.pid"
PIDFILE: Final = f"{SCRATCH}/container.pid"
_SETTINGS: Final = """[containers]
netns = "host"
log_driver = "none"

[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
"""
_STORAGE: Final = f"""[storage]
driver = "overlay"
runroot = "{SCRATCH}/run"
graphroot = "{SCRATCH}/graph"
"""


class ContainerEngine(msgspec.Struct, frozen=True):
    """podman and the runtime it uses. Containers share the machine's network."""

    program: str
    runtime: str

    @classmethod
    def found(cls) -> "ContainerEngine":
        """The one of this machine. Raises ValueError with what to install."""
        program, runtime = _program("podman"), next(filter(None, map(_program, _RUNTIMES)), None)
        reasons = [*_wrong_machine()]
        if program is None:
            reasons.append("podman is not installed: install the package podman")
        if runtime is None:
            reasons.append("a runtime is not installed: install the package runc")
        if reasons or program is None or runtime is None:
            raise ValueError("; ".join(reasons))
        return cls(program, runtime)

    def command(self, store: Path, *arguments: str, images: Path | None = None) -> list[str]:
        """podman with all its files in store and in the room, and nothing of the user's; images lends its images."""
        lent = ["--storage-opt", f"additionalimagestore={images}"] if images else []
        return [
            self.program,
            *("--root", str(store), "--runroot", f"{SCRATCH}/run", "--tmpdir", f"{SCRATCH}/engine"),
            *("--storage-driver", "overlay", *lent),
            *("--runtime", self.runtime, "--cgroup-manager", "cgroupfs", "--events-backend", "none"),
            *arguments,
        ]

    def environment(self) -> Mapping[str, str]:
        """Its own settings alone; writes them into the room."""
        settings, storage = Path(f"{SCRATCH}/containers.conf"), Path(f"{SCRATCH}/storage.conf")
        settings.write_text(_SETTINGS, encoding="utf-8")
        storage.write_text(_STORAGE, encoding="utf-8")
        path = os.pathsep.join([os.environ.get("PATH", ""), *_PATH]).lstrip(os.pathsep)
        return {
            "PATH": path,
            "HOME": SCRATCH,
            "TMPDIR": os.environ.get("TMPDIR", "/var/tmp"),  # noqa: S108 - podman's own default
            "LC_ALL": "C",
            "CONTAINERS_CONF": str(settings),
            "CONTAINERS_STORAGE_CONF": str(storage),
        }


class Run(msgspec.Struct, frozen=True):
    """How a container is run: its image or root folder, where its volumes lie, what it is given."""

    container: Container
    image: str
    is_folder: bool
    volumes: Sequence[tuple[Path, Volume, bool]]
    """Each with its folder on the machine, and whether it is empty: then it becomes the container's user's."""

    hosts: Path
    env: Mapping[str, str]
    env_file: Path
    cgroup: str

    def arguments(self) -> list[str]:
        """Of `podman run`, in the foreground."""
        container = self.container
        return [
            *("run", "--name", container.name, "--network", "host", "--log-driver", "none", "--no-hosts"),
            *("--cgroup-parent", self.cgroup, "--conmon-pidfile", CONMON_PIDFILE, "--pidfile", PIDFILE),
            "--sig-proxy=false",
            *("--ulimit", f"nofile={_limit(_MOST_FILES)}", "--ulimit", f"nproc={_MOST_PROCESSES}:{_MOST_PROCESSES}"),
            *("--volume", f"{self.hosts}:/etc/hosts:ro", "--env-file", str(self.env_file)),
            # podman takes these from its own environment: they would not fit on a line of a file
            *(word for name, value in self.env.items() if "\n" in value for word in ("--env", name)),
            *(word for volume in self.volumes for word in ("--volume", _mounted(*volume))),
            *_limits(container),
            *(["--entrypoint", _listed(self._filled(container.entrypoint))] if container.entrypoint else []),
            *(["--rootfs", f"{self.image}:O"] if self.is_folder else [self.image]),
            *self._filled(container.command),
        ]

    def _filled(self, words: Sequence[str]) -> list[str]:
        return [filled(word, self.env) for word in words]


def filled(word: str, env: Mapping[str, str]) -> str:
    """A word with each $(NAME) replaced by the container's variable of that name; others stay."""
    for name, value in env.items():
        word = word.replace(f"$({name})", value)
    return word


def _limit(most: int) -> str:
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    number = most if hard == resource.RLIM_INFINITY else min(most, hard)
    return f"{number}:{number}"


def _mounted(folder: Path, volume: Volume, is_new: bool) -> str:  # noqa: FBT001 - a member of a tuple
    options = [option for option, given in (("ro", volume.is_read_only), ("U", is_new)) if given]
    return ":".join([str(folder), volume.place, *([",".join(options)] if options else [])])


def _limits(container: Container) -> list[str]:
    shares = None if container.cpu_shares is None else str(container.cpu_shares)
    given = {
        "--user": container.user,
        "--memory": container.memory,
        "--cpu-shares": shares,
        "--stop-signal": container.stop_signal,
    }
    return [word for option, value in given.items() if value for word in (option, value)]


def _listed(words: Sequence[str]) -> str:
    return msgspec.json.encode(list(words)).decode()


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_PATH]))


def _wrong_machine() -> list[str]:
    if sys.platform != "linux" or os.geteuid() != 0:
        return ["containers need Linux, and root: a VM runs them in mounts and process numbers of its own"]
    return []
