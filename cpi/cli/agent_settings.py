"""`cpi agent-settings`: what a VM's agent was given."""

from typing import Annotated

import typer

from cpi import connecting
from cpi.cli import screen
from cpi.cli.options import ConfigFile
from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.contract.operator import ShowsAgentSettings
from cpi.kit.redaction import masked


def agent_settings(vm_cid: Annotated[str, typer.Argument(help="The VM.")], config: ConfigFile) -> None:
    """Show the settings that a VM's agent was given, secrets masked."""
    with connecting.connect(config) as cloud:
        if not isinstance(cloud, ShowsAgentSettings):
            raise errors.NotSupported(f"the driver {cloud.name} can not tell what an agent was given")
        screen.show_json(masked(cloud.agent_settings(VmCid(vm_cid))))
