"""`cpi agent-settings`: shows the settings of a VM's agent."""

from typing import Annotated

import typer

from cpi import connecting
from cpi.cli import screen
from cpi.cli.options import ConfigFile
from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.contract.operator import ShowsAgentSettings
from cpi.kit.redaction import masked


def agent_settings(vm_cid: Annotated[str, typer.Argument(help="CID of the VM.")], config: ConfigFile) -> None:
    """Show the settings of a VM's agent, with secrets masked."""
    with connecting.connect(config) as cloud:
        if not isinstance(cloud, ShowsAgentSettings):
            raise errors.NotSupported(f"the driver {cloud.name} cannot show the settings of an agent")
        screen.show_json(masked(cloud.agent_settings(VmCid(vm_cid))))
