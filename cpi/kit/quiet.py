"""Log records of libraries that say nothing to operators."""

import logging
from typing import Final

_MEANINGLESS: Final = "returning true from eof_received() has no effect when using ssl"


def hush_closed_streams() -> None:
    """From here on, asyncio does not warn when the other side closes a TLS stream: every NATS client's connection ends so."""
    logging.getLogger("asyncio").addFilter(_means_something)


def _means_something(record: logging.LogRecord) -> bool:
    return record.msg != _MEANINGLESS
