"""What the local cloud is configured with, and the cloud properties it knows."""

import os
import re
from typing import Annotated, Literal

import msgspec

Positive = Annotated[int, msgspec.Meta(gt=0)]

_PLACEHOLDER = re.compile(r"\{(vm_dir|settings|agent_id)\}")


class AgentProgram(msgspec.Struct, frozen=True):
    """The program that is a VM's agent."""

    command: tuple[str, ...] = ()
    """Program and arguments with the placeholders {vm_dir} {settings} {agent_id}, other braces are left alone.

    Empty: the agent of this repository.
    """

    def __post_init__(self) -> None:
        if self.command and not self.command[0].startswith("/"):
            raise ValueError(f"command: the program must be an absolute path, got {self.command[0]!r}")

    def filled(self, vm_dir: str, settings: str, agent_id: str) -> list[str]:
        """The command for one VM."""
        values = {"vm_dir": vm_dir, "settings": settings, "agent_id": agent_id}
        return [_PLACEHOLDER.sub(lambda match: values[match[1]], part) for part in self.command]


class LocalSettings(msgspec.Struct, frozen=True):
    """cloud.properties.local."""

    root: str
    """The folder that holds everything; made when first needed."""

    disk_backing: Literal["auto", "loop", "folder"] = "auto"
    """What a new disk is, unless its cloud properties say otherwise."""

    agent: AgentProgram = AgentProgram()

    def __post_init__(self) -> None:
        if not self.root.startswith("/"):
            raise ValueError(f"root: must be an absolute path, got {self.root!r}")
        if os.path.normpath(self.root) == "/":
            raise ValueError("root: must be a folder of its own, not /")


class VmProperties(msgspec.Struct, frozen=True):
    """Cloud properties of a VM: kept on record; a VM here is processes and takes what it needs."""

    cpu: Positive = 1
    ram: Positive = 1024
    ephemeral_disk_size: Positive = 1024


class DiskProperties(msgspec.Struct, frozen=True):
    """Cloud properties of a disk."""

    name: str = ""
    """The name that a director gives a dynamic disk; kept on record."""

    backing: Literal["", "loop", "folder"] = ""
    """loop: an image with a filesystem of its own; folder: a folder with a size on record; empty: as configured."""


class NetworkProperties(msgspec.Struct, frozen=True):
    """Cloud properties of a network: as create_network answers them."""

    network_cid: str = ""
