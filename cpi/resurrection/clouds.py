"""The clouds of many instances, connected once for each configuration."""

import contextlib
import threading
from types import TracebackType
from typing import Self

from cpi import config as configuration
from cpi import connecting
from cpi.contract.cloud import Cloud


class Clouds:
    """Any number of threads may ask."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._guard = threading.Lock()
        self._clouds: dict[str, Cloud] = {}
        self._plugins: dict[str, str] = {}

    def cloud(self, config: str) -> Cloud:
        """The cloud of a configuration. Raises CpiError; a later call tries again."""
        with self._guard:
            if config not in self._clouds:
                self._clouds[config] = self._open.enter_context(connecting.connect(config))
            return self._clouds[config]

    def plugin(self, config: str) -> str:
        """How its driver is called. Raises CpiError."""
        with self._guard:
            if config not in self._plugins:
                self._plugins[config] = configuration.plugin_of(configuration.read_document(config))
            return self._plugins[config]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()
