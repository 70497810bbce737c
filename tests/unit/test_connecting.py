"""From a configuration to a Cloud, with every fault told at once."""

from pathlib import Path

import pytest

import cpi


def test_the_faults_around_the_block_and_in_it_are_told_together() -> None:
    """The core knows some, the driver the others."""
    properties = {"local": {"root": [5], "colour": "red"}, "ntp": "pool"}
    with pytest.raises(cpi.CpiError) as caught:
        cpi.connect({"cloud": {"plugin": "local", "properties": properties}})
    assert caught.value.message.splitlines() == [
        "the configuration has faults:",
        "  cloud.properties.ntp: Expected `array`, got `str`",
        "  cloud.properties.local.colour: unknown key",
        "  cloud.properties.local.root: Expected `str`, got `array`",
    ]


def test_a_block_that_is_none_is_told_once() -> None:
    """Not by the core and by the driver."""
    with pytest.raises(cpi.CpiError) as caught:
        cpi.connect({"cloud": {"plugin": "local", "properties": {"local": 5}}})
    assert caught.value.message.count("cloud.properties.local") == 1


def test_faults_around_a_sound_block_are_enough(tmp_path: Path) -> None:
    """The cloud is not handed out."""
    properties = {"local": {"root": str(tmp_path / "cloud")}, "strict_properties": "yes"}
    with pytest.raises(cpi.CpiError, match=r"strict_properties: expected true or false$"):
        cpi.connect({"cloud": {"plugin": "local", "properties": properties}})
