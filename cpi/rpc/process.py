"""The executable's one call: a request from stdin, a response to stdout, exit status 0.

Light: all that `info` needs is here and in messages; the dispatcher is imported for everything else.
"""

import os
import sys
from typing import Any, Final, NoReturn

from cpi import config, registry
from cpi.contract import errors
from cpi.rpc.messages import Request, Response, encode_response, failure_of, parse_request
from cpi.rpc.warm import launcher

_LARGEST_REQUEST: Final = 4 * 2**20
_CHUNK: Final = 2**20
_API_VERSION: Final = 3
_USAGE: Final = """\
Usage: cpi rpc [--config FILE]

Reads one CPI request, a JSON document, from stdin and writes one response to stdout.
Without --config the configuration is $CPI_CONFIG, or ../config/cpi.json relative to the executable.
"""


def run(arguments: list[str]) -> NoReturn:
    """Serve one call and end the process, at once: a thread that a library left running must not keep the caller waiting."""
    status = serve(arguments)
    flush()
    if "cpi.rpc.dispatcher" in sys.modules:  # more than `info`
        from cpi.rpc.warm import starting

        starting.start_if_wished(arguments)
    os._exit(status)


def flush() -> None:
    """Write what is buffered for stdout and stderr."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # closed, or absent: nobody listens there
            continue


def serve(arguments: list[str]) -> int:
    """The exit status: 0 if a response was written."""
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(_USAGE)
        return 0
    stdout = _guard_stdout()
    if stdout is None:
        return _complain("stdout is closed, so the answer could not be read; nothing was done")
    answer = _encoded_answer(arguments)
    try:
        _write(stdout, answer)
    except OSError as error:
        return _complain(f"the answer could not be written: {error.strerror}")
    return 0


def _encoded_answer(arguments: list[str]) -> bytes:
    """A document, also where there is no memory to parse a request, or no descriptor to import what would carry it out."""
    try:
        return encode_response(_answer(_read_request(), arguments))
    except (MemoryError, RecursionError, OSError, ImportError) as error:
        reason = f"{type(error).__name__}: {error}"
    message = f"not enough resources on this machine, or within this process's limits, for the call: {reason}; see `ulimit -a`"
    _complain(message)
    return encode_response(Response(None, failure_of(errors.CloudError(message)), ""))


def _answer(data: bytes | None, arguments: list[str]) -> Response:
    request_id = "-"
    try:
        if data is None:
            raise errors.CpiError(f"the request is larger than {_LARGEST_REQUEST} bytes")
        request = parse_request(data)
        request_id = " ".join(str(request.context.get("request_id", "-")).split())
        path = _config_path(arguments)
        info = _known_info(request, path)
    except errors.Error as error:
        _complain(*(f"[req_id {request_id}] {line}" for line in error.message.splitlines()))
        return Response(None, failure_of(error), "")
    if info is not None:
        return Response(info, None, "")
    return _dispatch(request, path)


def _known_info(request: Request, path: str) -> dict[str, Any] | None:
    if request.method != "info" or request.arguments:
        return None
    document = config.read_document(path)
    formats = registry.known_stemcell_formats(config.plugin_of(document))
    version = config.api_version_of(document) or _API_VERSION
    return {"stemcell_formats": formats, "api_version": min(version, _API_VERSION)} if formats is not None else None


def _dispatch(request: Request, path: str) -> Response:
    from cpi.rpc import dispatcher
    from cpi.rpc.interruption import Interruption

    interruption = Interruption()
    interruption.install()
    return dispatcher.answer(request, path, interruption.armed)


def _config_path(arguments: list[str]) -> str:
    path = launcher.config_path(arguments)
    if path is not None:
        return path
    if arguments:
        raise errors.CpiError(f"cpi rpc accepts only --config FILE, got: {' '.join(arguments)}")
    missing = launcher.beside(sys.argv[0])[0]
    raise errors.CpiError(f"no configuration found: use --config FILE, set CPI_CONFIG, or create {missing}")


def _guard_stdout() -> int | None:
    """A descriptor of our own for the response; what is printed from now on, by children too, goes to stderr.

    None if stdout is closed. A closed descriptor is filled first, lest another file take its number.
    """
    was_open = [_fill(descriptor) for descriptor in (0, 1, 2)]
    if not was_open[1]:
        return None
    response = os.dup(1)
    os.dup2(2, 1)
    return response


def _fill(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - the parameter takes no keyword
        return False
    return True


def _read_request() -> bytes | None:
    """None if it is too large: the rest is read and dropped, so that the caller can go on to our answer."""
    chunks: list[bytes] = []
    size = 0
    while chunk := _read_chunk():
        size += len(chunk)
        if size <= _LARGEST_REQUEST:
            chunks.append(chunk)
    return None if size > _LARGEST_REQUEST else b"".join(chunks)


def _read_chunk() -> bytes:
    try:
        return os.read(0, _CHUNK)
    except OSError:
        return b""


def _write(descriptor: int, data: bytes) -> None:
    os.set_blocking(descriptor, True)
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _complain(*lines: str) -> int:
    try:
        os.write(2, "".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
    except OSError:
        return 1
    return 1
