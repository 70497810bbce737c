"""One request, one response: against pairs on record, and against everything that can be thought of."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cpi.rpc import binding, dispatcher, process
from cpi.rpc.interruption import Interruption
from cpi.rpc.messages import Response, encode_response, parse_request
from tests.rpc.executable import ROOT, Executable, request, valid

PAIRS = [json.loads(line) for line in (ROOT / "fixtures/rpc/pairs.jsonl").read_text().splitlines()]


def answered(executable: Executable, data: bytes) -> dict[str, Any]:
    """The response to a request, in this process."""
    return valid(encode_response(dispatcher.answer(parse_request(data), str(executable.config))))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["case"])
def test_every_method_answers_as_on_record(installed: Executable, pair: dict[str, Any]) -> None:
    """In every version in which its answer differs."""
    response = answered(installed, json.dumps(pair["request"]).encode())
    assert response["result"] == pair["response"]["result"]
    assert response["error"] == pair["response"]["error"]


def test_the_pairs_on_record_cover_every_method() -> None:
    """A method added to the contract needs a pair."""
    assert set(binding.methods()) <= {pair["request"]["method"] for pair in PAIRS}


def test_a_driver_gets_the_context(installed: Executable) -> None:
    """Who calls, the stemcell's version, the token, and the rest laid over its block."""
    installed.configure()
    other = installed.folder / "other"
    other.mkdir()
    context = {"request_id": "r-1", "token": "t-1", "vm": {"stemcell": {"api_version": 3}}, "folder": str(other)}
    assert answered(installed, request("create_disk", 1, {}, context=context))["result"] == "disk-1"
    call = json.loads((other / "calls.jsonl").read_text().splitlines()[0])
    assert call["arguments"] == [1, {}, None, "t-1"]
    assert call["context"] == {
        "director_uuid": "director-1",
        "request_id": "r-1",
        "stemcell_api_version": 3,
        "token": "t-1",
        "properties": {"folder": str(other)},
    }


def test_the_cloud_is_closed_whatever_happened(installed: Executable) -> None:
    """After success and after failure."""
    installed.configure(misbehave={"has_vm": "fail"})
    answered(installed, request("has_vm", "vm-1"))
    answered(installed, request("has_disk", "disk-1"))
    assert [call["method"] for call in installed.calls()] == ["has_vm", "close", "has_disk", "close"]


def test_a_cloud_that_cannot_be_closed_does_not_lose_the_answer(installed: Executable, capfd: pytest.CaptureFixture[str]) -> None:
    """The disk was made: its CID must arrive."""
    installed.configure(misbehave={"close": "fail"})
    response = answered(installed, request("create_disk", 1, {}))
    assert response["result"] == "disk-1"
    assert "was not closed" in capfd.readouterr().err


@pytest.mark.parametrize(("result", "error"), [("nan", "cannot be written as JSON"), ("empty", "returned an invalid result")])
def test_a_driver_that_breaks_its_promise_is_told_of(installed: Executable, result: str, error: str) -> None:
    """A CloudError, not a document that the director cannot read or an empty CID that it would record."""
    installed.configure(misbehave={"result": result})
    wanted = {"cpu": 1, "ram": 1, "ephemeral_disk_size": 1}
    data = request("create_disk", 1, {}) if result == "empty" else request("calculate_vm_cloud_properties", wanted)
    response = answered(installed, data)
    assert response["error"]["type"] == "Bosh::Clouds::CloudError"
    assert error in response["error"]["message"]


def test_info_needs_no_good_block(installed: Executable) -> None:
    """It is static: a director asks it before it has given credentials."""
    installed.config.write_text('{"cloud": {"plugin": "scripted", "properties": {"scripted": {"folder": 7}}}}')
    assert answered(installed, request("info"))["result"] == {"stemcell_formats": ["scripted-tar"], "api_version": 3}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=10), children, max_size=4),
    max_leaves=12,
)
CONTEXTS = JSON | st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("director_uuid", "request_id", "vm", "token", "password"), JSON)
)
REQUESTS = st.fixed_dictionaries(
    {"method": st.sampled_from(sorted(binding.methods())) | JSON, "arguments": st.lists(JSON, max_size=7) | JSON},
    optional={"context": CONTEXTS, "api_version": st.integers(-1, 5) | JSON},
)
FUZZ = settings(
    max_examples=300,
    deadline=None,
    # the executable is only read, and the driver's notes harm nobody
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def in_process(installed: Executable, monkeypatch: pytest.MonkeyPatch) -> Executable:
    """All of the executable but its descriptors and signals, which belong to the test's own process."""
    monkeypatch.setattr(Interruption, "install", lambda _self: None)
    monkeypatch.setattr(process, "_complain", lambda *_lines: 1)
    return installed


def _answered_as_a_process(in_process: Executable, data: bytes) -> Response:
    response = process._answer(data, ["--config", str(in_process.config)])
    valid(encode_response(response))
    return response


@pytest.mark.slow
@FUZZ
@given(document=REQUESTS)
@example(document={"method": "has_vm", "arguments": ["\ud800"]})
@example(document={"method": "create_vm", "arguments": ["a", "s", {}, {"\ud800": {}}, [], {}], "api_version": 2})
def test_every_document_is_answered(in_process: Executable, document: dict[str, Any]) -> None:
    """Whatever the envelope holds, the answer is valid and never an unforeseen failure."""
    response = _answered_as_a_process(in_process, json.dumps(document).encode())
    assert response.error is None or "unexpected error" not in response.error.message


@FUZZ
@given(data=st.binary(max_size=200))
def test_any_bytes_are_answered(in_process: Executable, data: bytes) -> None:
    """They are hardly ever a request."""
    _answered_as_a_process(in_process, data)


@FUZZ
@given(position=st.integers(0, 10**6), replacement=st.binary(max_size=3), length=st.integers(0, 5))
def test_a_request_damaged_on_its_way_is_answered(in_process: Executable, position: int, replacement: bytes, length: int) -> None:
    """Some bytes of a good request replaced, lost or added."""
    good = request("create_vm", "agent-1", "stemcell-1", {}, {"web": {"type": "manual", "ip": "10.0.0.6"}}, [], {"bosh": {}})
    position %= len(good)
    _answered_as_a_process(in_process, good[:position] + replacement + good[position + length :])
