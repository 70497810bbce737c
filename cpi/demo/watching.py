"""Who watches in the demonstration: what `cpi watch` does with one instance, without a database."""

from collections.abc import Mapping
from typing import Any, Final

from cpi.agent import https
from cpi.contract import errors
from cpi.contract.ids import DiskCid, StemcellCid
from cpi.contract.operator import ShowsAgentSettings
from cpi.demo.stage import Guest, Stage
from cpi.kit.waiting import wait_until
from cpi.resurrection.clouds import Clouds
from cpi.resurrection.instance import Instance
from cpi.resurrection.judging import judge
from cpi.resurrection.pulse import Pulse
from cpi.resurrection.report import Order, Standing
from cpi.resurrection.rules import Rules
from cpi.resurrection.sequence import Recreation

_NAME: Final = "rows/0"
_RULES: Final = Rules(agent_timeout=2.0)
_PATIENCE_SECONDS: Final = 30.0


def killed_and_back(stage: Stage, guest: Guest, stemcell_cid: StemcellCid, disk_cid: DiskCid, spec: Mapping[str, Any]) -> Guest:
    """The VM is killed while it is watched; the one that takes its place. Raises CloudError if it does not come."""
    instance = Instance(
        name=_NAME,
        config=str(stage.config_path),
        vm=guest.vm_cid,
        stemcell=stemcell_cid,
        networks={"default": stage.network_at(guest.address).to_document()},
        group="rows",
        disks=(disk_cid,),
        metadata={"name": _NAME},
        spec=spec,
    )
    with Clouds() as clouds, Pulse(_RULES, clouds, None) as pulse:
        pulse.listen_to(instance, guest.vm_cid, None)
        stage.kill(guest)

        def silent() -> bool:
            pulse.ask([_NAME])
            return pulse.silence(_NAME) > _RULES.agent_timeout

        wait_until(silent, "the agent's silence", deadline_seconds=_PATIENCE_SECONDS, longest_pause_seconds=0.1)
    verdict = judge(stage.cloud, guest.vm_cid)
    report = Recreation(instance, Order("", _NAME, guest.vm_cid, stage.cloud.name, verdict), stage.cloud).report()
    if report.standing is not Standing.RECREATED or report.vm is None or not isinstance(stage.cloud, ShowsAgentSettings):
        raise errors.CloudError(f"the VM was not replaced: {report.message or report.standing.value}")
    agent = https.from_settings(stage.cloud.agent_settings(report.vm))
    return Guest(report.vm, guest.address, agent)
