"""The BOSH config document, and a call's context laid over it."""

import json
from pathlib import Path
from typing import Any

import pytest

from cpi import config
from cpi.contract import errors
from cpi.contract.model import AgentDefaults, CallContext


def document(plugin: str = "aws", **properties: Any) -> dict[str, Any]:
    """A configuration."""
    return {"cloud": {"plugin": plugin, "properties": properties}}


def faults(of: Any, context: CallContext | None = None) -> list[str]:
    """The lines of the error."""
    with pytest.raises(errors.CpiError) as raised:
        config.cloud_config(of, "aws", context)
    assert raised.value.message.startswith("the configuration has faults:\n")
    return [line.strip() for line in raised.value.message.splitlines()[1:]]


def test_a_document_is_read_from_a_path_or_taken_as_it_is(tmp_path: Path) -> None:
    """As text or as a Path."""
    path = tmp_path / "cpi.json"
    path.write_text(json.dumps(document()))
    assert config.read_document(path) == config.read_document(str(path)) == config.read_document(document()) == document()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"{", "is not JSON: "),
        (b"", "is not JSON: "),
        (b"\xff", "is not JSON: "),
        (b"[" * 100_000, "is not JSON: "),
        (b"[]", "expected an object, got list"),
        (b"null", "expected an object, got NoneType"),
    ],
)
def test_a_file_that_is_no_document_is_named(tmp_path: Path, content: bytes, fault: str) -> None:
    """With its path and what is wrong."""
    path = tmp_path / "cpi.json"
    path.write_bytes(content)
    with pytest.raises(errors.CpiError) as raised:
        config.read_document(path)
    assert str(path) in raised.value.message
    assert fault in raised.value.message


def test_a_file_that_is_missing_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Two different faults."""
    with pytest.raises(errors.CpiError, match=r"none does not exist"):
        config.read_document(tmp_path / "none")
    with pytest.raises(errors.CpiError, match=r"cannot be read: Is a directory"):
        config.read_document(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(errors.CpiError, match=r"cannot be read: Not a directory"):
        config.read_document(tmp_path / "file" / "below")


@pytest.mark.parametrize(
    "wrong", [{}, {"cloud": None}, {"cloud": []}, {"cloud": {}}, document(plugin=""), {"cloud": {"plugin": 1}}]
)
def test_a_document_without_a_plugin_is_refused(wrong: dict[str, Any]) -> None:
    """Nothing else can be said of it."""
    with pytest.raises(errors.CpiError, match=r"cloud\.plugin: expected the name of a driver"):
        config.plugin_of(wrong)


def test_the_official_documents_are_read() -> None:
    """The plugin's block, and what agents are told, wherever it is written."""
    read = config.cloud_config(
        document(
            aws={"region": "eu"}, registry={"x": 1}, agent={"mbus": "nats://n"}, ntp=["0.pool"], blobstore={"provider": "dav"}
        ),
        "aws",
    )
    assert (read.plugin, read.properties, read.strict_properties) == ("aws", {"region": "eu"}, False)
    assert read.agent == AgentDefaults("nats://n", ("0.pool",), {"provider": "dav"})
    inside = config.cloud_config(document(aws={}, agent={"ntp": ["1.pool"], "blobstore": {"provider": "s3"}}), "aws")
    assert inside.agent == AgentDefaults(None, ("1.pool",), {"provider": "s3"})


def test_a_block_may_be_absent() -> None:
    """All of it may come with the context."""
    context = CallContext(properties={"region": "eu"})
    assert config.cloud_config({"cloud": {"plugin": "aws"}}, "aws", context).properties == {"region": "eu"}


def test_the_context_lies_over_the_block_for_this_call_only() -> None:
    """And the document stays as it was."""
    original = document(aws={"region": "eu", "zone": "a"})
    context = CallContext("d", "r", properties={"region": "us"})
    read = config.cloud_config(original, "aws", context)
    assert read.properties == {"region": "us", "zone": "a"}
    assert read.context is context
    assert original == document(aws={"region": "eu", "zone": "a"})


def test_the_context_lies_over_the_first_of_a_list() -> None:
    """vCenters are written as a list."""
    original = document(aws=[{"host": "a"}, {"host": "b"}])
    read = config.cloud_config(original, "aws", CallContext(properties={"host": "c"}))
    assert json.dumps(read.properties) == json.dumps([{"host": "c"}, {"host": "b"}])
    assert original == document(aws=[{"host": "a"}, {"host": "b"}])


def test_every_fault_around_the_block_is_told_at_once() -> None:
    """One round is enough."""
    assert faults(document(aws=1, agent=[], ntp="pool", strict_properties="no")) == [
        "cloud.properties.aws: expected an object",
        "cloud.properties.strict_properties: expected true or false",
        "cloud.properties.agent: expected an object",
        "cloud.properties.ntp: Expected `array`, got `str`",
    ]
    assert faults({"cloud": {"plugin": "aws", "properties": []}}) == ["cloud.properties: expected an object"]
    assert faults(document(aws=[])) == ["cloud.properties.aws: expected an object"]


def test_strict_properties_are_handed_on() -> None:
    """They turn unknown cloud properties into errors."""
    assert config.cloud_config(document(aws={}, strict_properties=True), "aws").strict_properties
