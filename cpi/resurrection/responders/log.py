"""Alerts as lines of JSON in a file."""

import os
from collections.abc import Mapping
from typing import Any, Self

import msgspec

from cpi.contract import errors
from cpi.contract.encoding import to_json
from cpi.kit.settings import read_settings
from cpi.resurrection.alert import Alert


class Log(msgspec.Struct, frozen=True):
    """Adds a line to the file for each alert; who rotates it needs to tell nobody."""

    path: str

    @classmethod
    def made(cls, settings: Mapping[str, Any], where: str) -> Self:
        """As in Responder."""
        return read_settings(cls, settings, where)

    def respond(self, alert: Alert) -> None:
        """As in Responder."""
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, to_json(alert) + b"\n")
            finally:
                os.close(file)
        except OSError as error:
            raise errors.CloudError(f"{self.path} cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """As in Responder."""
