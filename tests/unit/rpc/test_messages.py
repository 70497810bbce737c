"""Bytes to requests and responses, and back."""

import json
from typing import Any

import pytest

from cpi.contract import errors
from cpi.rpc.messages import Failure, Request, Response, encode_request, encode_response, parse_request, parse_response
from tests.rpc.executable import valid


def test_a_request_comes_back_as_it_went() -> None:
    """With and without a version."""
    for version in (None, 2):
        request = Request("has_vm", ["vm-ü"], {"director_uuid": "d"}, version)
        assert parse_request(encode_request(request)) == request
    assert "api_version" not in json.loads(encode_request(Request("info", [], {}, None)))


def test_a_response_comes_back_as_it_went() -> None:
    """With and without an error."""
    for response in (
        Response(["vm-1", {}], None, "log"),
        Response(None, Failure("Bosh::Clouds::CloudError", "no", ok_to_retry=True), ""),
    ):
        assert parse_response(encode_response(response)) == response


def test_a_context_that_is_null_is_none_at_all() -> None:
    """As a key of it that is null."""
    assert parse_request(b'{"method": "ping", "arguments": [], "context": null}').context == {}


@pytest.mark.parametrize("result", [float("nan"), {float("inf")}, {1, 2}, object(), b"bytes", {(1, 2): 3}])
def test_a_result_that_is_no_json_becomes_an_error(result: Any) -> None:
    """The document stays valid, the log is kept."""
    response = valid(encode_response(Response(result, None, "what was done")))
    assert response["error"]["type"] == "Bosh::Clouds::CloudError"
    assert "cannot be written as JSON" in response["error"]["message"]
    assert response["log"] == "what was done"


def test_a_result_without_an_end_becomes_an_error() -> None:
    """A list in itself, and one nested too deeply."""
    endless: list[Any] = []
    endless.append(endless)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for result in (endless, deep):
        assert valid(encode_response(Response(result, None, "")))["error"]["type"] == "Bosh::Clouds::CloudError"


def test_half_a_character_is_replaced() -> None:
    """A lone surrogate has no place in UTF-8."""
    assert valid(encode_response(Response("\ud800", None, "\udfff"))) == {"result": "?", "error": None, "log": "?"}


GOOD_ERROR = {"type": "Bosh::Clouds::CloudError", "message": "no", "ok_to_retry": False}
BAD_RESPONSES: dict[str, tuple[Any, str]] = {
    "no object": ([], "expected an object, got an array"),
    "nothing in it": ({}, "result: is missing; error: is missing; log: is missing"),
    "no result": ({"error": None, "log": ""}, "result: is missing"),
    "no error": ({"result": None, "log": ""}, "error: is missing"),
    "no log": ({"result": None, "error": None}, "log: is missing"),
    "log null": ({"result": None, "error": None, "log": None}, "log: expected a string, got null"),
    "error a string": ({"result": None, "error": "no", "log": ""}, "error: expected null or an object, got a string"),
    "error without a type": ({"result": 1, "error": {**GOOD_ERROR, "type": None}, "log": ""}, "error.type: expected a string"),
    "error without a message": (
        {"result": 1, "error": {"type": "x", "ok_to_retry": True}, "log": ""},
        "error.message: expected a string, got nothing",
    ),
    "error without ok_to_retry": (
        {"result": 1, "error": {"type": "x", "message": "y"}, "log": ""},
        "error.ok_to_retry: expected true or false, got nothing",
    ),
    "ok_to_retry a number": (
        {"result": 1, "error": {**GOOD_ERROR, "ok_to_retry": 1}, "log": ""},
        "error.ok_to_retry: expected true",
    ),
}


@pytest.mark.parametrize("name", BAD_RESPONSES)
def test_a_response_is_checked_as_the_director_checks_it(name: str) -> None:
    """Every key, every type."""
    document, fault = BAD_RESPONSES[name]
    with pytest.raises(errors.CpiError) as raised:
        parse_response(json.dumps(document).encode())
    assert fault in raised.value.message


def test_keys_the_protocol_does_not_know_are_passed_over() -> None:
    """In requests and responses alike."""
    assert parse_request(b'{"method": "info", "arguments": [], "more": 1}') == Request("info", [], {}, None)
    assert parse_response(b'{"result": 1, "error": null, "log": "", "more": 1}') == Response(1, None, "")


def test_a_fault_does_not_show_what_was_sent() -> None:
    """It may be a secret."""
    for data in (b'{"method": ["hunter22"]}', b'"hunter22"', b'{"method": "hunter22'):
        with pytest.raises(errors.CpiError) as raised:
            parse_request(data)
        assert "hunter22" not in raised.value.message


def test_ordinary_depth_is_no_fault() -> None:
    """A manifest's properties are nested, but not a hundred times."""
    deep: Any = 1
    for _ in range(90):
        deep = {"deeper": deep}
    assert parse_request(encode_request(Request("has_vm", [deep], {}, 1))).arguments == [deep]
