"""From a harness to a Cloud: in this process, or through the executable."""

import itertools
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cpi.contract.cloud import Cloud
from cpi.rpc.calling import CallRecord
from cpi.rpc.client import ExternalCloud
from cpi.testing.harness import Face, Harness

_COUNT: Final = itertools.count(1)
_DEADLINE_SECONDS: Final = 1800.0

_log = logging.getLogger(__name__)


def opened(harness: Harness, face: Face, folder: Path, config: Mapping[str, Any] | None = None) -> Cloud:
    """The cloud of the harness, or of another config of the same cloud; folder takes the executable's config file."""
    document = harness.config if config is None else config
    if face == "in-process":
        return harness.connect(document)
    return ExternalCloud(
        command_of(harness, folder, document),
        deadline_seconds=_DEADLINE_SECONDS,
        on_call=_keep,
        capabilities=harness.capabilities or frozenset(),
        start=harness.start,
    )


def command_of(harness: Harness, folder: Path, config: Mapping[str, Any] | None = None) -> Sequence[str]:
    """What starts the executable."""
    if harness.command is not None:
        return harness.command
    path = folder / f"cpi-{next(_COUNT)}.json"
    path.touch(0o600)
    path.write_text(json.dumps(harness.config if config is None else config))
    return [sys.executable, "-m", "cpi", "rpc", "--config", str(path)]


def _keep(record: CallRecord) -> None:
    """What an executable shows goes where a driver's own log goes, and is searched for secrets as that is."""
    _log.info("%s (%.1f s)\n%s%s", record.method, record.seconds, record.log, record.stderr)
