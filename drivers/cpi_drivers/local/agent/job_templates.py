"""Jobs of BOSH releases: their rendered templates, installed as /var/vcap/jobs/NAME, and the processes of their monit files."""

import asyncio
import functools
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from cpi.contract.encoding import from_plain
from cpi_drivers.local.agent import monit, users
from cpi_drivers.local.agent.blobs import Blob, Blobs
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.jobs import Drain, Job
from cpi_drivers.local.agent.layout import VmFolder
from cpi_drivers.local.agent.packages import point_to, unpack

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PROGRAM: Final = "cpi_drivers.local.agent.pid_process"
_STOP_GRACE_SECONDS: Final = 60.0
_processes: Final = functools.lru_cache(maxsize=128)(monit.processes)
"""Read once: what is left out of a file is logged once, not with every heartbeat."""


class Archive(msgspec.Struct, frozen=True):
    """rendered_templates_archive of a spec."""

    sha1: str = ""
    blobstore_id: str = ""
    signed_url: str = ""
    blobstore_headers: Mapping[str, str] | None = None


def names_of(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The job templates of a spec. Raises Fault for what can be no name."""
    templates = (spec.get("job") or {}).get("templates") or []
    names = tuple(str(template.get("name")) for template in templates if isinstance(template, Mapping))
    for name in names:
        if not _NAME.fullmatch(name):
            raise Fault(f"{name!r} cannot be the name of a job")
    return names


def archive_of(spec: Mapping[str, Any]) -> Blob | None:
    """Where the rendered templates are; None if the spec has none."""
    document = {key: value for key, value in (spec.get("rendered_templates_archive") or {}).items() if value is not None}
    try:
        archive = from_plain(document, Archive)
    except msgspec.ValidationError as error:
        raise Fault(f"rendered_templates_archive: {error}") from error
    if not (archive.blobstore_id or archive.signed_url):
        return None
    return Blob(archive.sha1, archive.blobstore_id, archive.signed_url, archive.blobstore_headers or {})


class JobTemplates:
    """Those of one VM."""

    def __init__(self, vm: VmFolder, blobs: Blobs) -> None:
        self._vm = vm
        self._blobs = blobs

    async def install(self, spec: Mapping[str, Any], packages: Sequence[str]) -> None:
        """Has the templates of each job at its place, and takes other jobs away. Raises Fault if one is not in the archive."""
        names, archive = names_of(spec), archive_of(spec)
        if names and archive is None:
            raise Fault(f"the spec names the jobs {', '.join(names)} and no rendered_templates_archive")
        if archive is None:
            return
        await asyncio.to_thread(self._install, names, archive, packages)

    def _install(self, names: Sequence[str], blob: Blob, packages: Sequence[str]) -> None:
        content = self._vm.data / "jobs" / re.sub(r"[^A-Za-z0-9]", "-", blob.digest)[-64:]
        if not content.exists():
            self._vm.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
            archive = self._vm.scratch / "rendered-templates.tgz"
            self._blobs.fetch(blob, archive, "the rendered templates")
            unpack(archive, content, "the rendered templates")
            for script in content.glob("*/bin/*"):
                script.chmod(0o755)
            users.let_read(content)
            archive.unlink()
        missing = [name for name in names if not (content / name).is_dir()]
        if missing:
            raise Fault(f"the rendered templates hold no {', '.join(missing)}")
        for name in names:
            self._place(name, content / name, packages)
        for link in self._vm.jobs.iterdir():
            if link.is_symlink() and link.name not in names:
                link.unlink()
        for old in content.parent.iterdir():
            if old != content:
                shutil.rmtree(old)

    def _place(self, name: str, content: Path, packages: Sequence[str]) -> None:
        for folder in (self._vm.logs, self._vm.run, self._vm.data):
            (folder / name).mkdir(parents=True, exist_ok=True)
            users.share(folder / name)
        for package in packages:
            point_to(content / "packages" / package, self._vm.packages / package)
        point_to(self._vm.jobs / name, content)

    def jobs(self, spec: Mapping[str, Any]) -> tuple[Job, ...]:
        """The processes of the monit files of a spec's jobs. Raises Fault for what cannot be supervised."""
        return tuple(job for name in names_of(spec) for job in self._jobs_of(name))

    def _jobs_of(self, name: str) -> list[Job]:
        text = ""
        folder = self._vm.jobs / name
        for file in sorted([folder / "monit", *folder.glob("*.monit")]):
            if file.is_file():
                text += file.read_text(encoding="utf-8", errors="replace") + "\n"
        where = f"the monit file of job {name}"
        found = _processes(text, where)
        drain = folder / "bin" / "drain"
        if found and not self._vm.has_var_vcap:
            raise Fault(
                f"job {name} has programs under /var/vcap, which is not this VM's: for that, VMs of the local cloud need "
                "mounts of their own (Linux, as root) on a host without a /var/vcap of its own"
            )
        return [self._job(one, drain if number == 0 else None, where) for number, one in enumerate(found)]

    def _job(self, process: monit.Process, drain: Path | None, where: str) -> Job:
        start = users.command_of(process.start, where)
        watched = (sys.executable, "-P", "-m", _PROGRAM, process.pidfile, f"{process.start.timeout:g}", *start)
        return Job(
            process.name,
            watched,
            depends_on=process.depends_on,
            drain=Drain((self._vm.seen(drain),)) if drain is not None and drain.exists() else None,
            stop_grace_seconds=_STOP_GRACE_SECONDS,
            pidfile=process.pidfile,
            stop=users.command_of(process.stop, where) if process.stop else (),
        )
