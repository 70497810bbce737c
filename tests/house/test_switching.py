"""What is otherwise than with an official CPI: the facts that each driver ships, and which of them touch a configuration."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from cpi import config, connecting, registry
from cpi.cli.switching import Difference, differences, differences_of

ROOT: Final = Path(__file__).parents[2]
CLOUDS: Final = sorted(set(registry.driver_names()) - {"local"})
DOCUMENTS: Final = sorted((ROOT / "fixtures/documents").glob("*.json"))
BESIDE: Final = {"registry", "plugins"}


def _document(plugin: str, key: str, block: Any, **around: Any) -> dict[str, Any]:
    return {"cloud": {"plugin": plugin, "properties": {key: block, **around}}}


def _keys(document: dict[str, Any]) -> list[str]:
    return [finding.subject for finding in differences(document)]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_cloud_tells_what_is_otherwise(cloud: str) -> None:
    """Some of it touches everybody; the page of switching over says all of it."""
    known = differences_of(cloud)
    assert [one for one in known if not one.key]
    page = " ".join((ROOT / "docs/switching.md").read_text(encoding="utf-8").split())
    assert [one.otherwise for one in known if one.otherwise not in page] == []


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_key_that_it_is_about_is_known_to_the_driver(cloud: str) -> None:
    """Or it is one that means nothing here."""
    settings = import_module(f"cpi_drivers.{cloud}.settings")
    kinds = [kind for kind in vars(settings).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    fields = {field.encode_name for kind in kinds for field in msgspec.structs.fields(kind)}
    known = fields | getattr(settings, "MEANINGLESS", frozenset()) | BESIDE
    asked = {part for one in differences_of(cloud) for part in one.key.split(".") if part}
    assert asked - known - {"ssl_verify_peer", "ca_cert"} == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_of_an_official_document_it_is_told(path: Path) -> None:
    """As warnings: none of it is a fault."""
    found = list(differences(config.read_document(path)))
    assert found
    assert {finding.verdict for finding in found} == {"warning"}


def test_the_local_cloud_takes_nobodys_place() -> None:
    """There is nothing to tell of it."""
    assert differences_of("local") == ()
    assert list(differences(_document("local", "local", {"root": "/x"}))) == []


def test_what_a_configuration_does_not_have_is_not_told_of() -> None:
    """Nor what it has with another value; null is as good as nothing."""
    trusted = {"connection_options": {"ca_cert": "PEM"}}
    assert "connection_options.ca_cert" in _keys(_document("vsphere", "vcenters", [{"connection_options": {"ca_cert": None}}]))
    assert "connection_options.ca_cert" in _keys(_document("vsphere", "vcenters", [{}]))
    assert "connection_options.ca_cert" not in _keys(_document("vsphere", "vcenters", [trusted]))
    assert "nsxt" in _keys(_document("vsphere", "vcenters", [{"nsxt": {"host": "n"}}]))
    assert "nsxt" not in _keys(_document("vsphere", "vcenters", [{"nsxt": None}]))


def test_what_lies_beside_the_block_is_looked_at() -> None:
    """The official jobs write the registry there."""
    assert "registry" in _keys(_document("aws", "aws", {}, registry={"endpoint": "http://r"}))
    assert "registry" not in _keys(_document("aws", "aws", {}))


def test_a_list_of_one_cloud_is_looked_into() -> None:
    """As the official vCloud job writes it."""
    assert "verify_ssl" in _keys(_document("vcloud", "vcds", [{"url": "https://v"}]))
    assert "verify_ssl" not in _keys(_document("vcloud", "vcds", [{"url": "https://v", "verify_ssl": False}]))


def test_a_difference_with_a_key_that_is_unknown_is_refused() -> None:
    """A misspelled file is no silent one."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(json.loads('{"otherwise": "x", "if": 1}'), Difference)  # noqa: TID251 - one thread


def test_the_place_of_a_block_is_the_one_that_is_connected_with() -> None:
    """The doctor and the executable read the same."""
    assert connecting.block_of(registry.load("vcloud")).other_keys == ("vcds",)
