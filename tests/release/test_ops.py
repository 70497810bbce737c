"""The ops files: one swaps the release in a manifest of bosh-deployment's kind, one swaps it back."""

import copy
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from fixtures.release.rendering import ROOT
from release.builder import manifest, wheels

OPS: Final = ROOT / "release" / "ops"
OFFICIAL: Final = {
    "aws": "bosh-aws-cpi",
    "cloudstack": "bosh-go-cpi-cloudstack",
    "google": "bosh-google-cpi",
    "openstack": "bosh-openstack-cpi",
    "vcloud": "bosh-vcloud-cpi",
    "vsphere": "bosh-vsphere-cpi",
}
"""What bosh-deployment calls the official releases."""


def _deployment(cloud: str) -> dict[str, Any]:
    """A director's manifest as bosh-deployment composes it, as far as a CPI is named in it."""
    job, release = f"{cloud}_cpi", OFFICIAL[cloud]
    return {
        "name": "bosh",
        "releases": [
            {"name": "bosh", "version": "282", "url": "https://example/bosh.tgz", "sha1": "a"},
            {
                "name": release,
                "version": "((official_cpi_version))",
                "url": "((official_cpi_url))",
                "sha1": "((official_cpi_sha1))",
            },
        ],
        "instance_groups": [
            {
                "name": "bosh",
                "jobs": [{"name": "director", "release": "bosh"}, {"name": job, "release": release}],
                "properties": {"director": {"cpi_job": job}},
            }
        ],
        "cloud_provider": {"template": {"name": job, "release": release}, "mbus": "https://mbus@127.0.0.1:6868"},
    }


def _operated(document: dict[str, Any], file: Path) -> dict[str, Any]:
    """The document after an ops file. What is to be replaced must be there."""
    changed = copy.deepcopy(document)
    for operation in yaml.safe_load(file.read_text(encoding="utf-8")):
        assert operation["type"] == "replace"
        holder: Any = changed
        *path, last = operation["path"].strip("/").split("/")
        for part in path:
            holder = holder[_place(holder, part)]
        holder[_place(holder, last)] = operation["value"]
    return changed


def _place(holder: Any, part: str) -> Any:
    name = part.removeprefix("name=")
    if name == part:
        assert part in holder
        return part
    (index,) = (index for index, one in enumerate(holder) if one["name"] == name)
    return index


@pytest.mark.parametrize("cloud", wheels.CLOUDS)
def test_the_release_is_swapped_and_nothing_else(cloud: str) -> None:
    """The jobs keep their names and their properties, so every other ops file still fits."""
    before, after = _deployment(cloud), _operated(_deployment(cloud), OPS / f"{cloud}.yml")
    told = {"name": manifest.NAME, "version": "((multicpi_version))", "url": "((multicpi_url))", "sha1": "((multicpi_sha1))"}
    assert after["releases"] == [before["releases"][0], told]
    assert yaml.safe_dump(after).count(manifest.NAME) == yaml.safe_dump(before).count(OFFICIAL[cloud]) + 3
    again = copy.deepcopy(after)
    again["releases"] = before["releases"]
    again["instance_groups"][0]["jobs"][1]["release"] = again["cloud_provider"]["template"]["release"] = OFFICIAL[cloud]
    assert again == before


@pytest.mark.parametrize("cloud", wheels.CLOUDS)
def test_it_is_swapped_back(cloud: str) -> None:
    """To the manifest that was there before."""
    there = _operated(_deployment(cloud), OPS / f"{cloud}.yml")
    assert _operated(there, OPS / f"{cloud}-back.yml") == _deployment(cloud)


def test_there_are_ops_files_for_every_cloud() -> None:
    """There and back; each begins with how it is used."""
    assert {path.name for path in OPS.iterdir()} == {f"{cloud}{kind}.yml" for cloud in wheels.CLOUDS for kind in ("", "-back")}
    assert [path.name for path in OPS.iterdir() if not re.match(r"# \S", path.read_text(encoding="utf-8"))] == []
