"""`cpi doctor`: checks a configuration and its cloud."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cpi import config as configuration
from cpi import connecting, registry
from cpi.cli import screen
from cpi.cli.options import CONFIG_HELP
from cpi.cli.switching import differences
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.operator import Examines, ExaminesStemcells, ExaminesVmTypes, Finding
from cpi.kit.redaction import scrubbed

_STYLES = {"good": "green", "warning": "yellow", "fault": "red"}


def doctor(
    config: Annotated[
        Path | None,
        typer.Option("--config", envvar="CPI_CONFIG", show_default=False, help=CONFIG_HELP),
    ] = None,
    switch: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Configuration file of the CPI to replace: lists what would change."),
    ] = None,
    vm_type: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Check these cloud_properties of a VM type, with those of its extensions and AZ."),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(metavar="JSON", help="The cloud_properties of a subnet for this VM type. Can be repeated."),
    ] = None,
    stemcell: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Check the cloud_properties of a stemcell.MF."),
    ] = None,
) -> None:
    """Check a configuration and its cloud.

    Checks every key and, as far as the driver can, credentials, reachability and permissions. --vm-type also checks everything
    that a VM type and its networks refer to, --stemcell the image that a stemcell refers to. --switch lists what this CPI does
    differently from the CPI that uses the file now. Creates nothing in the cloud. The exit status is 1 if there is a fault.
    """
    networks = [_properties("--network", one) for one in network or ()]
    wanted = None if vm_type is None and not networks else _properties("--vm-type", vm_type or "{}")
    image = None if stemcell is None else _properties("--stemcell", stemcell)
    findings = list(_findings(_chosen(config, switch), wanted, networks, image, switching=switch is not None))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("verdict", "subject", "detail"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        verdict = Text(finding.verdict, style=_STYLES[finding.verdict])
        table.add_row(verdict, Text(finding.subject), Text(scrubbed(finding.detail)))
    screen.out().print(table)
    if any(finding.verdict == "fault" for finding in findings):
        sys.exit(screen.FAULT_STATUS)


def _chosen(config: Path | None, switch: Path | None) -> Path:
    chosen = switch or config
    if chosen is None:
        raise typer.BadParameter("missing --config FILE or --switch FILE")
    return chosen


def _properties(option: str, text: str) -> Mapping[str, Any]:
    try:
        properties = json.loads(text)
    except ValueError as error:
        raise errors.CpiError(f"{option}: not JSON: {error}") from error
    if not isinstance(properties, dict):
        raise errors.CpiError(f"{option}: expected a JSON object")
    return properties


def _findings(
    config: Path,
    vm_type: Mapping[str, Any] | None,
    networks: Sequence[Mapping[str, Any]],
    stemcell: Mapping[str, Any] | None,
    *,
    switching: bool,
) -> Iterator[Finding]:
    document = configuration.read_document(config)
    name = configuration.plugin_of(document)
    registry.load(name)
    yield Finding("driver", "good", f"{name} loads")
    if switching:
        yield from differences(document)
    try:
        connected = connecting.connect(document)
    except errors.CpiError as error:
        if not switching:
            raise
        yield from (Finding("configuration", "fault", fault) for fault in configuration.faults_in(error))
        return
    with connected as cloud:
        yield Finding("configuration", "good", f"{config} has no faults")
        if vm_type is not None:
            yield from _of_vm_type(cloud, vm_type, networks)
        if stemcell is not None:
            yield from _of_stemcell(cloud, stemcell)
        if isinstance(cloud, Examines):
            yield from cloud.examine()
            return
    yield Finding("cloud", "warning", f"the driver {name} cannot check credentials, reachability and permissions")


def _of_vm_type(cloud: Cloud, vm_type: Mapping[str, Any], networks: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    if isinstance(cloud, ExaminesVmTypes):
        yield from cloud.examine_vm_type(vm_type, networks)
    else:
        yield Finding("VM type", "warning", f"the driver {cloud.name} cannot check VM types")


def _of_stemcell(cloud: Cloud, stemcell: Mapping[str, Any]) -> Iterator[Finding]:
    if isinstance(cloud, ExaminesStemcells):
        yield from cloud.examine_stemcell(stemcell)
    else:
        yield Finding("stemcell", "warning", f"the driver {cloud.name} cannot check stemcells")
