"""The act between clouds: the job goes to another cloud with its disk while a client writes to it, and every row counts."""

from typing import Final

from cpi.agent import https
from cpi.agent.shell import shell_by_agent
from cpi.contract import errors
from cpi.contract.operator import ShowsAgentSettings
from cpi.contract.units import MiB
from cpi.demo.acts import (
    OLD_DATA_BYTES,
    ROWS_BETWEEN,
    SIZE,
    Outcome,
    Play,
    Watcher,
    count_lost,
    interrupting,
    run_job,
    writing,
)
from cpi.demo.client import Writer
from cpi.demo.stage import Guest, Stage, job_spec
from cpi.migration import Destination, Report, move_between_clouds

LARGER: Final = MiB(384)


def perform_between(stage: Stage, watcher: Watcher) -> Outcome:
    """Every act in order, then the count. Raises cpi.Error; what was made is still there, however this ends."""
    play, other = Play(watcher), stage.other()
    with play.act("make a stemcell on each of two clouds"):
        stemcell_cid, stemcell_there = stage.make_stemcell(), other.make_stemcell()
    with play.act("make a VM on the first"):
        guest = stage.make_vm(stemcell_cid)
    with play.act(f"nearly fill a disk of {SIZE} MiB") as scene:
        disk_cid = stage.cloud.create_disk(SIZE, {}, guest.vm_cid)
        before = run_job(stage, guest, disk_cid)
        scene.bytes = before["bytes"]
    to = Destination(
        stemcell=stemcell_there,
        networks={"default": {"type": "dynamic"}},
        name="rows/0",
        spec=job_spec(OLD_DATA_BYTES),
        metadata={"name": "rows/0"},
    )
    with writing(guest) as writer:
        writer.wait_for_more(ROWS_BETWEEN)
        with play.act(f"move it to {LARGER} MiB on the second, the job running") as scene, interrupting(writer, scene):
            scene.bytes = before["bytes"]
            with shell_by_agent(guest.agent) as shell:
                old = (stage.cloud, guest.agent, shell)
                report = move_between_clouds(old, guest.vm_cid, disk_cid, other.cloud, to, LARGER, on_event=watcher.happens)
            scene.report = report
            guest = _there(other, report, writer)
        writer.wait_for_more(ROWS_BETWEEN)
    with play.act("read every row back there"):
        lost = count_lost(guest, writer, before["digest"])
    return Outcome(tuple(play.scenes), writer.acknowledged, lost)


def _there(other: Stage, report: Report, writer: Writer) -> Guest:
    """The new VM; the client gets its address, as from DNS."""
    if report.new_vm_cid is None or not isinstance(other.cloud, ShowsAgentSettings):
        raise errors.CloudError("the job did not arrive on the other cloud")
    settings = other.cloud.agent_settings(report.new_vm_cid)
    writer.address = settings["networks"]["default"]["ip"]
    return Guest(report.new_vm_cid, writer.address, https.from_settings(settings))
