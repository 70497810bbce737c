"""`cpi doctor`: what is wrong with a configuration and with the cloud behind it."""

import sys
from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from cpi import config as configuration
from cpi import connecting, registry
from cpi.cli import screen
from cpi.cli.options import ConfigFile
from cpi.contract.operator import Examines, Finding
from cpi.kit.redaction import scrubbed

_STYLES = {"good": "green", "warning": "yellow", "fault": "red"}


def doctor(config: ConfigFile) -> None:
    """Find what is wrong with a configuration and the cloud behind it.

    Looks at every key, and as far as the driver can tell at credentials, reachability and permissions. Makes nothing in the
    cloud. Exit status 1 if there is a fault.
    """
    findings = list(_findings(config))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("verdict", "subject", "what was seen"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        verdict = Text(finding.verdict, style=_STYLES[finding.verdict])
        table.add_row(verdict, Text(finding.subject), Text(scrubbed(finding.detail)))
    screen.out().print(table)
    if any(finding.verdict == "fault" for finding in findings):
        sys.exit(screen.FAULT_STATUS)


def _findings(config: ConfigFile) -> Iterator[Finding]:
    document = configuration.read_document(config)
    name = configuration.plugin_of(document)
    registry.load(name)
    yield Finding("driver", "good", f"{name} loads")
    with connecting.connect(document) as cloud:
        yield Finding("configuration", "good", f"{config} has no faults")
        if isinstance(cloud, Examines):
            yield from cloud.examine()
            return
    yield Finding("cloud", "warning", f"the driver {name} can not look at credentials, reachability and permissions")
