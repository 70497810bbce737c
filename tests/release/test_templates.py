"""The jobs' templates, rendered by Ruby: what a manifest says reaches the driver, and no driver complains."""

import json
import logging
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

import cpi
from cpi import config, registry
from fixtures.release.rendering import JOBS, ROOT, Job, laid_out, manifests, render, spec
from tests.release.samples import NEEDED, WITHOUT_EFFECT, wish

NAMES: Final = sorted(path.name for path in JOBS.iterdir())
OF_CLOUDS: Final = [name for name in NAMES if name != "cpi"]


def _has_effect(facts: dict[str, Any]) -> bool:
    return not facts["description"].startswith(WITHOUT_EFFECT)


PROPERTIES: Final = [(job, name) for job in NAMES for name, facts in spec(job)["properties"].items() if _has_effect(facts)]


@cache
def _all() -> dict[tuple[str, str], Job]:
    """Every case, rendered by one process: Ruby takes longer to start than to render."""
    cases: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    for job in NAMES:
        known = spec(job)["properties"]
        cases[job, ""] = job, laid_out(NEEDED[job])
        cases[job, "null"] = job, laid_out({**dict.fromkeys(known), **NEEDED[job]})
        for name, facts in known.items():
            cases[job, name] = job, laid_out({**NEEDED[job], **wish(name, facts)})
    for name, manifest in manifests().items():
        cases["manifest", name] = manifest.job, manifest.properties
    return dict(zip(cases, render(cases.values()), strict=True))


def _read(document: dict[str, Any]) -> tuple[Any, ...]:
    """All that a driver learns from a document."""
    plugin = config.plugin_of(document)
    cloud = registry.load(plugin)
    read, faults = config.read_cloud_config(document, cloud.block or cloud.name)
    assert faults == []
    settings = import_module(f"cpi_drivers.{plugin}.settings")
    own = settings.read(read) if hasattr(settings, "read") else dict(read.properties)
    return own, read.agent, read.strict_properties, config.warm_idle_of(document)


def _learned(job: Job) -> tuple[Any, ...]:
    """What the process of the job learns: its document and its environment."""
    return *_read(job.document), job.document["cloud"]["properties"]["debug"], job.script


@pytest.fixture
def complaints(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Warnings that were logged."""
    with caplog.at_level(logging.WARNING):
        yield caplog.messages


@pytest.mark.parametrize("case", [("manifest", name) for name in manifests()], ids=lambda case: case[1])
def test_a_manifest_gives_a_document_that_the_driver_takes(case: tuple[str, str], complaints: list[str]) -> None:
    """Without a warning."""
    cpi.connect(_all()[case].document).close()
    assert complaints == []


@pytest.mark.parametrize("name", [name for name, manifest in manifests().items() if manifest.document])
def test_a_manifest_tells_the_driver_what_the_official_job_told_it(name: str) -> None:
    """The settings that the driver reads are the same, whichever job rendered them."""
    official = json.loads((ROOT / "fixtures/documents" / str(manifests()[name].document)).read_text(encoding="utf-8"))
    assert _read(_all()["manifest", name].document) == _read(official)


@pytest.mark.parametrize("job", NAMES)
@pytest.mark.parametrize("case", ["", "null"], ids=["defaults", "nulls"])
def test_what_is_not_given_or_null_is_the_default(job: str, case: str, complaints: list[str]) -> None:
    """A manifest with every property null is as good as one without them, and no driver complains."""
    cpi.connect(_all()[job, case].document).close()
    assert complaints == []
    assert _learned(_all()[job, case]) == _learned(_all()[job, ""])


@pytest.mark.parametrize(("job", "name"), PROPERTIES, ids=lambda part: part)
def test_every_property_reaches_the_driver(job: str, name: str, complaints: list[str]) -> None:
    """Each makes a difference to what the driver is told, or to its environment; no driver complains."""
    cpi.connect(_all()[job, name].document).close()
    assert complaints == []
    assert _learned(_all()[job, name]) != _learned(_all()[job, ""])


OURS_ALONE: Final = {
    "aws": {"env": "the job exports it"},
    "openstack": {"cache_folder": "of libraries", "call_timeout": "by cpi-config"},
    "vsphere": {
        "cache_folder": "of libraries",
        "task_timeout": "by cpi-config",
        "call_timeout": "by cpi-config",
        "request_timeout": "by cpi-config",
        "host": "vcenter.address",
    },
    "google": {"env": "the job exports it", "endpoints": "by cpi-config"},
    "cloudstack": {
        **dict.fromkeys(["connect_timeout", "read_timeout", "max_attempts", "retry_interval", "poll_interval"], "by cpi-config"),
        "cache_folder": "of libraries",
        "call_timeout": "by cpi-config",
        "calculate_cloud_prop": "calculate is the official word",
        "state_timeout": "timeout.global is the official word",
        "stemcell_public_visibility": "stemcell.public_visibility is the official word",
        "verify_ssl": "skip_verify_ssl is the official word",
        "proxy": "proxy_host and its kind are the official words",
    },
    "vcloud": {"cache_folder": "of libraries", "call_timeout": "by cpi-config", "proxy": "the job exports it"},
}
"""Settings that no property sets, and why."""


@pytest.mark.parametrize("job", OF_CLOUDS)
def test_every_setting_of_a_driver_has_a_property(job: str) -> None:
    """Or there is a reason: a setting that is added to a driver is not forgotten in its job."""
    cloud = job.removesuffix("_cpi")
    kind = _read(_all()[job, ""].document)[0]
    fields = {field.encode_name for field in msgspec.structs.fields(kind[0] if isinstance(kind, tuple) else kind)}
    named = {name.split(".")[1] for name in spec(job)["properties"] if "." in name}
    assert fields - named == set(OURS_ALONE[cloud])


def _exported(script: str, tmp_path: Path, **environment: str) -> dict[str, str]:
    """The environment that a rendered bin/cpi gives to Python, and its arguments."""
    python = tmp_path / "packages" / "multicpi_python" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nexec /usr/bin/env -0 "ARGUMENTS=$*"\n', encoding="utf-8")
    python.chmod(0o755)
    program = tmp_path / "cpi"
    program.write_text(script, encoding="utf-8")
    program.chmod(0o755)
    given = {"PATH": os.defpath, "BOSH_PACKAGES_DIR": str(tmp_path / "packages"), **environment}
    done = subprocess.run([program], check=True, env=given, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return dict(line.partition("=")[::2] for line in done.stdout.split("\0"))


@pytest.mark.parametrize("job", NAMES)
def test_the_program_reads_the_document_of_its_own_job(job: str, tmp_path: Path) -> None:
    """With Python's own flags, whatever the caller's environment says; of the folder that bosh-cli names, or the director's."""
    script = _all()[job, ""].script
    asked = f"-P -I -B -m cpi rpc --config /var/vcap/jobs/{job}/config/cpi.json"
    assert _exported(script, tmp_path / "director")["ARGUMENTS"] == asked
    of_client = _exported(script, tmp_path / "client", BOSH_JOBS_DIR=str(tmp_path / "some jobs"))["ARGUMENTS"]
    assert of_client == f"-P -I -B -m cpi rpc --config {tmp_path}/some jobs/{job}/config/cpi.json"


def test_proxies_are_exported_as_they_are_written(tmp_path: Path) -> None:
    """In both spellings, and nothing in them is a command."""
    odd = "http://u:p'\"$(touch /tmp/x)`id`\\@proxy.example:3128"
    given = {"http_proxy": odd, "https_proxy": "http://second.example", "no_proxy": "10.0.0.0/8,.example"}
    (job,) = render([("aws_cpi", {**laid_out(NEEDED["aws_cpi"]), "env": given})])
    found = _exported(job.script, tmp_path)
    assert {name: found[name] for name in found if "proxy" in name.lower()} == {
        **given,
        **{name.upper(): value for name, value in given.items()},
    }


def test_without_a_proxy_none_is_exported(tmp_path: Path) -> None:
    """What the caller has is left alone."""
    found = _exported(_all()["aws_cpi", ""].script, tmp_path)
    assert [name for name in found if "proxy" in name.lower()] == []


def test_what_is_needed_and_missing_is_named() -> None:
    """By the template where BOSH can know it, and not by the first call."""
    with pytest.raises(RuntimeError, match="plugin"):
        render([("cpi", {})])
    with pytest.raises(RuntimeError, match=r"vcenter\.datacenters"):
        render([("vsphere_cpi", {})])
