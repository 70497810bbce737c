"""Executables with one fault each."""

import json
from collections.abc import Mapping
from typing import Any

from cpi.contract import errors
from cpi.rpc.messages import Failure, Response
from cpi.testing.wire import Answer
from tests.suite.faults import found_by
from tests.suite.memory_wire import MemoryWire


@found_by(
    "wire_answers_what_is_no_request_with_an_error",
    "wire_writes_one_document_and_nothing_else",
)
class ExitsWithOne(MemoryWire):
    """An error is told by the exit code as well, on which the command line drops the document."""

    def send(self, request: bytes) -> Answer:
        answer = super().send(request)
        return answer._replace(exit_code=0 if answer.document["error"] is None else 1)


@found_by(
    "wire_answers_what_is_no_request_with_an_error",
)
class DiesOfNonsense(MemoryWire):
    """What is no request is answered with nothing."""

    def send(self, request: bytes) -> Answer:
        answer = super().send(request)
        return answer if b'"context"' in request else answer._replace(stdout=b"")


@found_by(
    "wire_answers_what_is_no_request_with_an_error",
    "wire_writes_one_document_and_nothing_else",
)
class PrintsMore(MemoryWire):
    """A library says something on stdout, at each call that makes something."""

    def send(self, request: bytes) -> Answer:
        answer = super().send(request)
        return answer._replace(stdout=b"deprecated!\n" + answer.stdout) if b'"ping"' in request else answer


@found_by(
    "wire_answers_attach_disk_in_the_shape_of_each_version",
    "wire_answers_create_vm_in_the_shape_of_each_version",
    "wire_answers_what_is_no_request_with_an_error",
    "wire_carries_the_token_in_the_context",
    "wire_names_a_wrong_argument_by_its_name",
    "wire_names_a_wrong_number_of_arguments_a_cpi_error",
    "wire_names_an_unknown_method_not_implemented",
    "wire_takes_create_stemcell_with_two_arguments_and_with_three",
    "wire_takes_null_for_no_vm_and_answers_an_empty_list_for_no_disks",
    "wire_tells_info_in_every_version",
    "wire_writes_one_document_and_nothing_else",
)
class LogsNothing(MemoryWire):
    """The log is null where there is none."""

    def written(self, document: bytes) -> bytes:
        return self.changed(document, log=None)


@found_by(
    "wire_writes_one_document_and_nothing_else",
)
class AddsKeys(MemoryWire):
    """A key of its own in the envelope."""

    def written(self, document: bytes) -> bytes:
        return self.changed(document, warnings=[])


@found_by(
    "wire_answers_what_is_no_request_with_an_error",
    "wire_names_a_wrong_argument_by_its_name",
    "wire_names_a_wrong_number_of_arguments_a_cpi_error",
    "wire_names_an_unknown_method_not_implemented",
    "wire_writes_one_document_and_nothing_else",
)
class ForgetsOkToRetry(MemoryWire):
    """An error without ok_to_retry."""

    def written(self, document: bytes) -> bytes:
        error = json.loads(document)["error"]
        return self.changed(document, error=error and {"type": error["type"], "message": error["message"]})


@found_by(
    "wire_answers_what_is_no_request_with_an_error",
    "wire_names_a_wrong_argument_by_its_name",
    "wire_names_a_wrong_number_of_arguments_a_cpi_error",
)
class CallsEverythingMissing(MemoryWire):
    """Wrong arguments are reported as a missing method: an old trap."""

    def respond(self, data: bytes) -> Response:
        response = super().respond(data)
        if response.error is None or response.error.type != errors.CpiError.wire_name:
            return response
        return response._replace(error=response.error._replace(type=errors.NotImplemented.wire_name))


@found_by(
    "wire_names_an_unknown_method_not_implemented",
)
class CallsMissingMethodsCloudErrors(MemoryWire):
    """An unknown method is a CloudError."""

    def respond(self, data: bytes) -> Response:
        response = super().respond(data)
        if response.error is None or response.error.type != errors.NotImplemented.wire_name:
            return response
        return response._replace(error=response.error._replace(type=errors.CloudError.wire_name))


@found_by(
    "wire_names_a_wrong_argument_by_its_name",
    "wire_names_a_wrong_number_of_arguments_a_cpi_error",
)
class KeepsNamesToItself(MemoryWire):
    """Faults of arguments are not named."""

    def respond(self, data: bytes) -> Response:
        response = super().respond(data)
        if response.error is None:
            return response
        return response._replace(error=Failure(response.error.type, "wrong", response.error.ok_to_retry))


@found_by(
    "wire_answers_attach_disk_in_the_shape_of_each_version",
    "wire_answers_create_vm_in_the_shape_of_each_version",
)
class SpeaksTheNewestOnly(MemoryWire):
    """Answers in the shapes of version 3, whatever was asked."""

    def respond(self, data: bytes) -> Response:
        return super().respond(data.replace(b'"api_version": 1', b'"api_version": 3'))


@found_by(
    "wire_answers_attach_disk_in_the_shape_of_each_version",
    "wire_answers_create_vm_in_the_shape_of_each_version",
    "wire_takes_create_stemcell_with_two_arguments_and_with_three",
)
class SpeaksTheOldestOnly(MemoryWire):
    """Answers in the shapes of version 1, whatever was asked."""

    def respond(self, data: bytes) -> Response:
        return super().respond(
            data.replace(b'"api_version": 2', b'"api_version": 1').replace(b'"api_version": 3', b'"api_version": 1')
        )


@found_by(
    "wire_takes_null_for_no_vm_and_answers_an_empty_list_for_no_disks",
)
class NullForNone(MemoryWire):
    """No disks are null."""

    def respond(self, data: bytes) -> Response:
        response = super().respond(data)
        return response._replace(result=None) if response.result == [] else response


@found_by(
    "wire_answers_create_vm_in_the_shape_of_each_version",
    "wire_carries_the_token_in_the_context",
)
class DropsTheToken(MemoryWire):
    """The token in the context is not read."""

    def token(self, context: Mapping[str, Any]) -> str | None:
        return None


@found_by(
    "wire_shows_no_secret_of_a_request",
)
class LogsTheRequest(MemoryWire):
    """The log holds the request, secrets and all."""

    def respond(self, data: bytes) -> Response:
        return super().respond(data)._replace(log=data.decode(errors="replace"))
