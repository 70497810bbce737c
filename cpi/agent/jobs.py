"""Stopping and starting a VM's jobs as a director does."""

from typing import Final

from cpi.agent.protocol import Agent
from cpi.contract import errors
from cpi.kit.waiting import Overdue, pause, wait_until

RUNNING: Final = "running"
STOPPED: Final = "stopped"

# What a director tells the scripts when the VM, the instance and the deployment all stay.
_ALL_STAY: Final = {
    "BOSH_VM_NEXT_STATE": "keep",
    "BOSH_INSTANCE_NEXT_STATE": "keep",
    "BOSH_DEPLOYMENT_NEXT_STATE": "keep",
}


class NotStarted(errors.CloudError):
    """The jobs do not run, and trying again will not help."""


def stop(agent: Agent) -> None:
    """pre-stop, drain, stop, post-stop. Stopping stopped jobs changes nothing."""
    agent.run_script("pre-stop", _ALL_STAY)
    _drain(agent)
    agent.stop()
    agent.run_script("post-stop", _ALL_STAY)


def start(agent: Agent) -> None:
    """pre-start, start, wait until they run, post-start. Raises NotStarted naming the jobs that do not run."""
    agent.run_script("pre-start")
    agent.start()
    _wait_until_running(agent, agent.deadlines.start)
    agent.run_script("post-start")


def _drain(agent: Agent) -> None:
    seconds = agent.drain("shutdown")
    while seconds < 0:
        pause(-seconds)
        seconds = agent.drain("status")
    pause(seconds)


def _wait_until_running(agent: Agent, deadline_seconds: float) -> None:
    last = ["nothing"]

    def run() -> bool:
        state = agent.get_state()
        idle = [f"{process.name} is {process.state}" for process in state.processes if process.state != RUNNING]
        last[0] = f"the jobs are {state.job_state}" + (f": {', '.join(idle)}" if idle else "")
        return state.job_state == RUNNING

    try:
        wait_until(run, "the jobs", deadline_seconds=deadline_seconds)
    except Overdue as error:
        raise NotStarted(f"the jobs were started and do not run within {deadline_seconds:g} s: {last[0]}") from error
