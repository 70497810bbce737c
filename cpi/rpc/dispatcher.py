"""One request, one response, whatever happens."""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from cpi import config, connecting, registry
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.encoding import to_plain
from cpi.contract.model import Info
from cpi.kit import redaction
from cpi.rpc import binding, versions
from cpi.rpc.interruption import Interrupted
from cpi.rpc.log import CallLog, be_chatty
from cpi.rpc.messages import Failure, Request, Response, failure_of

_LONGEST_MESSAGE: Final = 16_384

_log = logging.getLogger(__name__)

Armed = Callable[[], AbstractContextManager[None]]


def answer(
    request: Request, source: config.Source, armed: Armed = contextlib.nullcontext, *, live_level: int = logging.DEBUG
) -> Response:
    """Calls the cloud that source configures; armed surrounds the time in which a signal may raise Interrupted.

    What is logged below live_level, or cannot be written to stderr, is in the response; everything else is on stderr alone.
    """
    log = CallLog(str(request.context.get("request_id") or ""), live_level)
    with log.capturing():
        result, failure = _attempt(request.method, lambda: _perform(request, source, armed, log))
    if failure is not None:
        failure = failure._replace(message=log.scrub(failure.message)[:_LONGEST_MESSAGE])
    return Response(result, failure, log.text())


def _perform(request: Request, source: config.Source, armed: Armed, log: CallLog) -> Any:
    log.hide(request.context, request.arguments)
    document = config.read_document(source)
    log.hide(document)
    plugin = config.plugin_of(document)
    if request.method == "info" and not request.arguments:
        formats, newest = registry.stemcell_formats(plugin), Info(()).api_version
        return to_plain(Info(formats, min(config.api_version_of(document) or newest, newest)))
    config.warm_idle_of(document)  # a fault in it is reported, as any other
    context = binding.read_context(request.context)
    call = binding.bind(request, context.token)
    if _wants_debug(document):
        be_chatty(("cpi", "cpi_drivers", registry.load(plugin).__module__.partition(".")[0]))
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug("%s %s", request.method, redaction.masked(request.arguments))
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        with armed():
            cloud = connecting.connect(document, context)
            stack.callback(_close, cloud)
            returned = call.on(cloud)
        _log.info("%s took %.2f s", request.method, time.monotonic() - began)
        return versions.result_to_wire(call.checked(returned, cloud.name), versions.spoken(request.api_version))


def _attempt(what: str, action: Callable[[], Any]) -> tuple[Any, Failure | None]:
    try:
        return action(), None
    except errors.Error as error:
        _log.info("%s: %s: %s", what, type(error).__name__, error.message)
        _log.debug("%s failed", what, exc_info=True)
        return None, failure_of(error)
    except Interrupted as interrupted:
        _log.warning("%s was interrupted by %s", what, interrupted, exc_info=True)
        return None, failure_of(errors.CloudError(_interrupted(what, str(interrupted))))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a caller gets an answer, whatever a driver or its SDK does
        _log.error("unexpected error in %s", what, exc_info=True)
        message = f"unexpected error in {what} (see the log for the traceback): {type(error).__name__}: {error}"
        return None, failure_of(errors.CloudError(message))


def _close(cloud: Cloud) -> None:
    _, failure = _attempt("close", cloud.close)
    if failure is not None:
        _log.warning("the connection to %s was not closed: %s", cloud.name, failure.message)


def _interrupted(method: str, signal_name: str) -> str:
    return f"{method} was interrupted by {signal_name}; everything it created was removed, except what the log lists"


def _wants_debug(document: Mapping[str, Any]) -> bool:
    properties = document["cloud"].get("properties")
    return isinstance(properties, Mapping) and properties.get("debug") is True
