"""The cloud's API, and the only file that would import its SDK. Here: a fake cloud in one JSON file.

Replace the body of each method by a call of the SDK, and keep what it promises to the rest of the driver: things by id, a lost or
refused call as an exception of errors.py, and nothing remembered between two calls, for each CPI call is a process of its own.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from cpi.skeleton.example.errors import Refused

Kind = Literal["stemcells", "vms", "disks"]
Item = dict[str, Any]


class Client:
    """Things of the cloud: dictionaries, by kind and id."""

    def __init__(self, folder: str) -> None:
        self._file = Path(folder) / "cloud.json"

    @contextmanager
    def changing(self) -> Iterator[dict[str, dict[str, Item]]]:
        """Everything there is, written back at the end of the block, for one process at a time."""
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Refused("Unreachable", f"{self._file}: {error.strerror}") from error
        with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            state = json.loads(file.read() or '{"stemcells": {}, "vms": {}, "disks": {}}')
            yield state
            file.seek(0)
            file.truncate()
            json.dump(state, file)

    def find(self, kind: Kind, cid: str) -> Item | None:
        """One thing, or None if there is none of that id."""
        with self.changing() as state:
            return state[kind].get(cid)
