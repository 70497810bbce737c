"""The executable's face of a cloud in memory, without a process."""

import json
from collections.abc import Mapping
from typing import Any

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.rpc import binding, versions
from cpi.rpc.messages import Response, encode_response, failure_of, parse_request
from cpi.testing.wire import Answer, Wire


class MemoryWire(Wire):
    """Answers as the executable does."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def send(self, request: bytes) -> Answer:
        """In this process."""
        return Answer(0, self.written(encode_response(self.respond(request))), "")

    def respond(self, data: bytes) -> Response:
        """One response, whatever the bytes are."""
        try:
            request = parse_request(data)
            token = self.token(request.context)
            call = binding.bind(request, token)
            result = versions.result_to_wire(call.on(self._cloud), versions.spoken(request.api_version))
        except errors.Error as error:
            return Response(None, failure_of(error), "")
        return Response(result, None, "")

    def token(self, context: Mapping[str, Any]) -> str | None:
        """The token in a context."""
        return binding.read_context(context).token

    def written(self, document: bytes) -> bytes:
        """What goes to stdout."""
        return document

    def changed(self, document: bytes, **keys: object) -> bytes:
        """The document with other values."""
        return json.dumps({**json.loads(document), **keys}).encode()
