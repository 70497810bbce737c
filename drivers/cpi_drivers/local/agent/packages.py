"""Packages of BOSH releases: compiled from their source, and installed as /var/vcap/packages/NAME."""

import asyncio
import os
import re
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from cpi.contract.encoding import from_plain
from cpi.contract.errors import CpiError
from cpi_drivers.local.agent.blobs import Blob, Blobs, digest_of
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.layout import VmFolder

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_SAID: Final = 4000


class Package(msgspec.Struct, frozen=True):
    """One package as an apply spec or a compilation's dependencies name it."""

    name: str
    version: str = ""
    sha1: str = ""
    blobstore_id: str = ""
    signed_url: str = ""
    package_get_signed_url: str = ""
    blobstore_headers: Mapping[str, str] | None = None

    @property
    def blob(self) -> Blob:
        """Where its compiled form is."""
        signed = self.signed_url or self.package_get_signed_url
        return Blob(self.sha1, self.blobstore_id, signed, self.blobstore_headers or {})


class Compilation(msgspec.Struct, frozen=True):
    """What compile_package is asked for; upload_url is where the compiled package goes, or empty for the blobstore."""

    source: Blob
    package: Package
    needs: tuple[Package, ...] = ()
    upload_url: str = ""
    headers: Mapping[str, str] = {}


def read_packages(documents: Any) -> tuple[Package, ...]:
    """The packages of a spec, by name. Raises Fault for what is none."""
    if not isinstance(documents or {}, Mapping):
        raise Fault(f"packages are an object by name, got {type(documents).__name__}")
    found: list[Package] = []
    for name, document in sorted((documents or {}).items()):
        try:
            known = {key: value for key, value in document.items() if value is not None}
            found.append(_checked(from_plain({"name": name, **known}, Package)))
        except (msgspec.ValidationError, AttributeError) as error:
            raise Fault(f"package {name}: {error}") from error
    return tuple(found)


def _checked(package: Package) -> Package:
    if not _NAME.fullmatch(package.name):
        raise Fault(f"{package.name!r} cannot be the name of a package")
    return package


class Packages:
    """Those of one VM."""

    def __init__(self, vm: VmFolder, blobs: Blobs) -> None:
        self._vm = vm
        self._blobs = blobs

    async def install(self, packages: Sequence[Package]) -> None:
        """Has each at its place, and takes those away that are not among them. What is there already is left alone."""
        for package in packages:
            await asyncio.to_thread(self._install, package)
        wanted = {package.name for package in packages}
        for link in self._vm.packages.iterdir() if self._vm.packages.exists() else ():
            if link.name not in wanted:
                link.unlink()

    async def fetch(self, package: Package) -> None:
        """Has its content in the VM, not yet at its place."""
        await asyncio.to_thread(self._fetched, package)

    def _install(self, package: Package) -> None:
        self._link(package, self._fetched(package))

    def _fetched(self, package: Package) -> Path:
        content = self._content(package)
        if not content.exists():
            archive = self._scratch(f"{package.name}.tgz")
            self._blobs.fetch(package.blob, archive, f"package {package.name}")
            unpack(archive, content, f"package {package.name}")
            archive.unlink()
        return content

    def _content(self, package: Package) -> Path:
        which = re.sub(r"[^A-Za-z0-9]", "-", package.sha1 or package.version)[-64:]
        return self._vm.data / "packages" / package.name / (which or "unknown")

    def _link(self, package: Package, content: Path) -> None:
        point_to(self._vm.packages / package.name, content)

    def _scratch(self, name: str) -> Path:
        self._vm.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._vm.scratch / name

    async def compile(self, wanted: Compilation) -> dict[str, Any]:
        """Compiles a package; the answer names the compiled one. Raises Fault with the last words of its packaging script."""
        package = wanted.package
        what = f"package {package.name}"
        for needed in wanted.needs:
            await asyncio.to_thread(self._install, needed)
        source, target = self._scratch(f"compile-{package.name}"), self._content(package)
        archive = self._scratch(f"{package.name}.tgz")
        shutil.rmtree(source, ignore_errors=True)
        shutil.rmtree(target, ignore_errors=True)
        try:
            await asyncio.to_thread(self._blobs.fetch, wanted.source, archive, f"the source of {what}")
            await asyncio.to_thread(unpack, archive, source, f"the source of {what}")
            target.mkdir(parents=True)
            self._link(package, target)
            await self._run_packaging(package, source)
            await asyncio.to_thread(_pack, target, archive)
            digest = digest_of(archive)
            if wanted.upload_url:
                await asyncio.to_thread(self._blobs.store_at, archive, wanted.upload_url, wanted.headers, what)
                return {"result": {"sha1": digest}}
            return {"result": {"sha1": digest, "blobstore_id": await asyncio.to_thread(self._blobs.store, archive, what)}}
        finally:
            shutil.rmtree(source, ignore_errors=True)
            archive.unlink(missing_ok=True)

    async def _run_packaging(self, package: Package, source: Path) -> None:
        script = source / "packaging"
        if not script.exists():
            return
        env = {
            **os.environ,
            "BOSH_COMPILE_TARGET": self._vm.seen(source),
            "BOSH_INSTALL_TARGET": self._vm.seen(self._vm.packages / package.name),
            "BOSH_PACKAGE_NAME": package.name,
            "BOSH_PACKAGE_VERSION": package.version,
            "BOSH_ROOT": str(self._vm.root),
        }
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-x",
            "packaging",
            cwd=source,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=self._vm.inherited,
        )
        said, _ = await process.communicate()
        if process.returncode:
            words = said.decode(errors="replace")[-_SAID:].strip()
            raise Fault(
                f"Compiling package {package.name}: the packaging script ended with status {process.returncode}:\n{words}"
            )


def point_to(link: Path, content: Path) -> None:
    """A link, exchanged in one step."""
    link.parent.mkdir(parents=True, exist_ok=True)
    draft = link.with_name(f".{link.name}.new")
    draft.unlink(missing_ok=True)
    draft.symlink_to(os.path.relpath(content, link.parent))
    draft.replace(link)


def unpack(archive: Path, folder: Path, what: str) -> None:
    """A tarball as a new folder: whole or not at all."""
    from cpi.kit.extraction import extract

    draft = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        extract(archive, draft)
    except CpiError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise Fault(f"{what}: {error.message}") from error
    draft.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)
    draft.replace(folder)


def _pack(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz", format=tarfile.PAX_FORMAT) as packed:
        packed.add(folder, ".")
