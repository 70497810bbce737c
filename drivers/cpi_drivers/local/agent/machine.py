"""The VM as its messages see it: what is applied to it, its jobs, its state, its end."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from cpi_drivers.local.agent import job_templates
from cpi_drivers.local.agent import spec as specs
from cpi_drivers.local.agent.blobs import Blobs
from cpi_drivers.local.agent.containers.installed import Containers
from cpi_drivers.local.agent.disks import PersistentDisks
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.job_templates import JobTemplates
from cpi_drivers.local.agent.jobs import Job, in_order, read_jobs
from cpi_drivers.local.agent.layout import VmFolder
from cpi_drivers.local.agent.packages import Packages, read_packages
from cpi_drivers.local.agent.scripts import Scripts, drain_argument
from cpi_drivers.local.agent.settings import Settings
from cpi_drivers.local.agent.supervisor import Supervisor

_SPEC: Final = "spec"
_SHUTDOWN: Final = "shutdown"
_API_VERSION = 1
_WELL_SECONDS: Final = 30.0
_PAUSE_BEFORE_LISTENING_ANEW_SECONDS = 0.5
_log = logging.getLogger(__name__)


class Machine:
    """end, listen_anew and tell_shutdown tell the process what only it can do."""

    def __init__(
        self,
        vm: VmFolder,
        settings: Settings,
        disks: PersistentDisks,
        end: Callable[[], object],
        listen_anew: Callable[[], object],
        tell_shutdown: Callable[[], object],
        blobs: Blobs,
    ) -> None:
        self._vm = vm
        self._settings = settings
        self._disks = disks
        self._end = end
        self._listen_anew = listen_anew
        self._tell_shutdown = tell_shutdown
        self._environment = {
            "BOSH_ROOT": str(vm.root),
            "BOSH_STORE": str(vm.store),
            "BOSH_ADDRESS": settings.address,
        }
        self._packages = Packages(vm, blobs)
        self._templates = JobTemplates(vm, blobs)
        self._containers = Containers(vm)
        self._supervisor = Supervisor(vm, self._environment)
        self._scripts = Scripts(vm, self._environment)

    async def boot(self) -> None:
        """Mounts the disk that was mounted last, then starts the jobs if they shall run: never without their disk."""
        try:
            await self._disks.mount_last()
            if self._supervisor.wanted == "started":
                await self._supervisor.start(self._jobs())
        except (Fault, OSError) as fault:
            _log.error("the jobs are not started: %s", fault)

    async def halt(self) -> None:
        """Stops the jobs because the VM ends."""
        await self._supervisor.halt()

    def _spec(self) -> dict[str, Any]:
        return self._vm.recall(_SPEC) or {}

    def _jobs(self) -> tuple[Job, ...]:
        return self._jobs_of(self._spec())

    def _jobs_of(self, spec: Mapping[str, Any]) -> tuple[Job, ...]:
        own = read_jobs(spec)
        return in_order((*own, *self._containers.jobs(spec, own), *self._templates.jobs(spec)))

    async def ping(self) -> str:
        """That it is there."""
        return "pong"

    async def info(self) -> dict[str, int]:
        """The version of these messages."""
        return {"api_version": _API_VERSION}

    async def get_state(self, extent: Any = None) -> dict[str, Any]:
        """The applied spec, the jobs, and with "full" how the VM does."""
        jobs = self._jobs()
        processes = await self._supervisor.processes(jobs)
        return {
            **specs.shown(self._spec()),
            "agent_id": self._settings.agent_id,
            "job_state": self._supervisor.status(jobs),
            **({"vitals": await asyncio.to_thread(self._vitals)} if extent == "full" else {}),
            **({"processes": processes} if processes else {}),
            "vm": self._settings.vm,
        }

    async def heartbeat(self) -> dict[str, Any]:
        """What the bus is told from time to time."""
        spec = specs.shown(self._spec())
        return {
            "deployment": spec["deployment"],
            "job": spec["job"]["name"],
            "index": spec["index"],
            "job_state": self._supervisor.status(self._jobs()),
            "vitals": await asyncio.to_thread(self._vitals),
            "node_id": spec["id"],
        }

    def _vitals(self) -> dict[str, Any]:
        from cpi_drivers.local.agent.vitals import vitals

        store = self._vm.store if self._disks.mounted(self._vm.store) else None
        return vitals(self._vm.root, self._vm.dynamic_disks.parent, store)

    async def prepare(self, spec: Any) -> str:
        """Sees whether the spec could be applied, and fetches its packages."""
        spec = specs.checked(spec)
        own = read_jobs(spec)
        self._containers.check(spec, own)
        in_order((*own, *self._containers.jobs(spec, own)))
        job_templates.names_of(spec)
        for package in read_packages(spec.get("packages")):
            await self._packages.fetch(package)
        return "prepared"

    async def apply(self, spec: Any) -> str:
        """Installs packages and rendered templates, and keeps the spec; its jobs run from the next start on."""
        spec = specs.checked(spec)
        self._containers.check(spec, read_jobs(spec))
        packages = read_packages(spec.get("packages"))
        if packages or job_templates.archive_of(spec) is not None or job_templates.names_of(spec):
            await self._packages.install(packages)
            await self._templates.install(spec, [package.name for package in packages])
        self._jobs_of(spec)
        await self._containers.install(spec)
        self._vm.keep(_SPEC, specs.with_addresses(spec, self._settings.networks))
        return "applied"

    async def start(self) -> str:
        """Returns once the jobs are being started; get_state tells when they run. A container that is never well is a Fault."""
        jobs = self._jobs()
        await self._supervisor.start(jobs)
        await self._containers.forget_others(jobs)
        failed = await self._supervisor.failed(_WELL_SECONDS)
        if failed is not None:
            told = self._containers.told(failed.job.name)
            raise Fault(f"container {failed.job.name} is not well: it {failed.last_end}; its last words:{told}")
        return "started"

    async def stop(self) -> str:
        """Returns once no process of any job is left."""
        await self._supervisor.stop()
        return "stopped"

    async def drain(self, kind: str, new_spec: Mapping[str, Any] | None = None) -> int:
        """Returns once the jobs may be stopped; from now on one that ends is not started again."""
        argument = drain_argument(kind, new_spec)
        if kind == _SHUTDOWN:
            self._tell_shutdown()
        self._supervisor.release()
        await self._scripts.drain(argument, self._jobs(), self._spec(), new_spec)
        return 0

    async def run_script(self, name: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Runs the jobs' scripts of that name."""
        if not isinstance(options or {}, Mapping):
            raise Fault(f"the options of a script are an object, got {type(options).__name__}")
        env = dict((options or {}).get("env") or {})
        await self._scripts.run(name, {str(key): str(value) for key, value in env.items()})
        return {}

    async def update_settings(self, updates: Any) -> str:
        """Keeps the settings, links the associated disks, and listens anew if mbus changed."""
        if not isinstance(updates, Mapping):
            raise Fault(f"the settings to update are an object, got {type(updates).__name__}")
        self._settings.load()
        for association in updates.get("disk_associations") or []:
            try:
                await self._disks.associate(str(association["name"]), str(association["cid"]))
            except Fault as fault:
                raise fault.within("Fetching disk settings") from fault
        if self._settings.update(updates):
            asyncio.get_running_loop().call_later(_PAUSE_BEFORE_LISTENING_ANEW_SECONDS, self._listen_anew)
        return "ok"

    async def run_errand(self, name: str = "") -> dict[str, Any]:
        """Runs bin/run of a job to its end; what it said and its exit status."""
        names = job_templates.names_of(self._spec())
        errand = name or (names[0] if names else "")
        if errand not in names:
            raise Fault(f"there is no job {errand!r} whose bin/run could be run; known: {', '.join(names) or 'none'}")
        return await self._scripts.run_errand(errand)

    async def delete_arp_entries(self, addresses: Any) -> dict[str, Any]:
        """There are none: on the loopback interface addresses are not resolved."""
        if not isinstance(addresses, Mapping) or not isinstance(addresses.get("ips"), list):
            raise Fault("delete_arp_entries takes an object with a list of ips")
        return {}

    async def shutdown(self) -> str:
        """Ends the VM once this was answered."""
        asyncio.get_running_loop().call_soon(self._end)
        return ""
