"""Blobs, which a director or the command line hands over and takes back: in the VM, or in the blobstore of its settings."""

import hashlib
import hmac
import re
import ssl
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.layout import VmFolder
from cpi_drivers.local.agent.settings import Settings

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_STRONGEST_FIRST: Final = ("sha512", "sha256", "sha1")
_SECONDS: Final = 300.0
_CHUNK: Final = 1 << 20


class Blob(msgspec.Struct, frozen=True):
    """One that is to be fetched: by its id, or by a URL that lets whoever has it in."""

    digest: str
    id: str = ""
    signed_url: str = ""
    headers: Mapping[str, str] = {}


def digest_of(path: Path, algorithm: str = "sha1") -> str:
    """In hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def check_digest(path: Path, wanted: str, what: str) -> None:
    """Raises Fault unless the file has it. wanted is a sha1, `sha256:…`, or several with semicolons: the strongest counts."""
    given = {kind or "sha1": value for kind, _, value in (one.rpartition(":") for one in wanted.split(";") if one)}
    algorithm = next((name for name in _STRONGEST_FIRST if name in given), None)
    if algorithm is None:
        raise Fault(f"{what}: its digest {wanted!r} is of no known kind (sha1, sha256, sha512)")
    found = digest_of(path, algorithm)
    if not hmac.compare_digest(found, given[algorithm].lower()):
        raise Fault(f"{what}: its {algorithm} is {found}, expected {given[algorithm]}")


class Blobs:
    """Those of one VM. Everything here waits for files or the network: it is called in a thread."""

    def __init__(self, vm: VmFolder, settings: Settings) -> None:
        self._vm = vm
        self._settings = settings

    def own(self, blob_id: str) -> Path:
        """Where a blob lies that was put here, or would. Raises Fault for what can be no id."""
        if not _NAME.fullmatch(blob_id):
            raise Fault(f"{blob_id!r} cannot be the id of a blob")
        self._vm.blobs.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._vm.blobs / blob_id

    def fetch(self, blob: Blob, into: Path, what: str) -> None:
        """Writes it to a file. Raises Fault if it is not there, or is not what the digest says."""
        if blob.signed_url:
            self._download(blob.signed_url, into, what, blob.headers)
        elif (own := self.own(blob.id)).exists():
            _copy(own, into)
        else:
            self._from_blobstore(blob.id, into, what)
        check_digest(into, blob.digest, what)

    def store(self, path: Path, what: str) -> str:
        """The id of a new blob with the file's content, in the blobstore of the settings; in the VM where they name none."""
        blob_id = str(uuid.uuid4())
        provider, options = self._provider()
        if provider == "local":
            folder = self._local(options)
            folder.mkdir(parents=True, exist_ok=True)
            _copy(path, folder / blob_id)
        elif provider == "dav":
            self._upload(_dav_url(options, blob_id), path, what, options=options)
        else:
            _copy(path, self.own(blob_id))
        return blob_id

    def store_at(self, path: Path, signed_url: str, headers: Mapping[str, str], what: str) -> None:
        """Puts a file where a signed URL says."""
        self._upload(signed_url, path, what, headers=headers)

    def _provider(self) -> tuple[str, Mapping[str, Any]]:
        blobstore = self._settings.blobstore
        provider = str(blobstore.get("provider") or "")
        if provider not in {"", "local", "dav"}:
            raise Fault(f"the agent of a local VM knows the blobstores local and dav, not {provider}; signed URLs work with any")
        return provider, blobstore.get("options") or {}

    def _local(self, options: Mapping[str, Any]) -> Path:
        path = str(options.get("blobstore_path") or "/var/vcap/micro_bosh/data/cache")
        return self._vm.inside(path)

    def _from_blobstore(self, blob_id: str, into: Path, what: str) -> None:
        provider, options = self._provider()
        if provider == "dav":
            self._download(_dav_url(options, blob_id), into, what, {}, options)
            return
        source = self._local(options) / blob_id
        if not source.is_file():
            raise Fault(f"{what}: there is no blob {blob_id} in this VM, and none in its blobstore ({provider or 'none is set'})")
        _copy(source, into)

    def _trust(self, *, own: bool) -> ssl.SSLContext:
        """The blobstore itself is checked with its own CA where it names one. A signed URL leads to it, or to any other host."""
        options = self._settings.blobstore.get("options") or {}
        authority = ((options.get("tls") or {}).get("cert") or {}).get("ca")
        if not authority:
            return ssl.create_default_context()
        if own:
            return ssl.create_default_context(cadata=str(authority))
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=str(authority))
        return context

    def _download(
        self, url: str, into: Path, what: str, headers: Mapping[str, str], options: Mapping[str, Any] | None = None
    ) -> None:
        import httpx

        try:
            with (
                httpx.Client(
                    verify=self._trust(own=options is not None), auth=_login(options), timeout=_SECONDS, trust_env=False
                ) as client,
                client.stream("GET", url, headers=dict(headers)) as answer,
                into.open("wb") as file,
            ):
                if answer.status_code != httpx.codes.OK:
                    raise Fault(f"{what}: {_shown(url)} answered {answer.status_code}")
                for chunk in answer.iter_bytes(_CHUNK):
                    file.write(chunk)
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            raise Fault(f"{what}: {_shown(url)} cannot be read: {type(error).__name__} {error}") from error

    def _upload(
        self,
        url: str,
        path: Path,
        what: str,
        *,
        headers: Mapping[str, str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        import httpx

        length = {"content-length": str(path.stat().st_size)}
        try:
            with (
                path.open("rb") as file,
                httpx.Client(
                    verify=self._trust(own=options is not None), auth=_login(options), timeout=_SECONDS, trust_env=False
                ) as client,
            ):
                answer = client.put(url, content=iter(lambda: file.read(_CHUNK), b""), headers={**length, **(headers or {})})
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            raise Fault(f"{what}: {_shown(url)} cannot be written: {type(error).__name__} {error}") from error
        if not answer.is_success:
            raise Fault(f"{what}: {_shown(url)} answered {answer.status_code}")


def _dav_url(options: Mapping[str, Any], blob_id: str) -> str:
    # the folder is the first byte of the id's own digest: the layout of BOSH's dav blobstore
    folder = hashlib.sha1(blob_id.encode(), usedforsecurity=False).hexdigest()[:2]
    return f"{str(options.get('endpoint') or '').rstrip('/')}/{folder}/{blob_id}"


def _login(options: Mapping[str, Any] | None) -> tuple[str, str] | None:
    if options is None or not options.get("user"):
        return None
    return str(options["user"]), str(options.get("password") or "")


def _shown(url: str) -> str:
    """Without user, password and signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"


def _copy(source: Path, target: Path) -> None:
    import shutil

    draft = target.with_name(f".{target.name}.new")
    shutil.copyfile(source, draft)
    draft.replace(target)
