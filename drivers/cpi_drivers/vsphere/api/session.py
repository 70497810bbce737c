"""Sessions kept between processes: each CPI call is a process, and logging in costs more than most calls.

One file for each vCenter and user. A session is used until the vCenter refuses it.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from pyVmomi import VmomiSupport

from cpi.contract import errors
from cpi.contract.model import CloudConfig
from cpi.kit import private_files
from cpi.kit.redaction import remember
from cpi.kit.settings import with_session

_FORM: Final = "3"
"""Of what a file holds: a file of another form is left alone."""

OLDEST: Final = "vim.version.version12"

_MANAGERS: Final = (
    "propertyCollector",
    "searchIndex",
    "fileManager",
    "virtualDiskManager",
    "ovfManager",
    "customFieldsManager",
    "authorizationManager",
    "sessionManager",
    "storageResourceManager",
    "vStorageObjectManager",
    "cryptoManager",
)


class SessionCache:
    """The file of one vCenter and user. What cannot be read or written is as if it were not there."""

    def __init__(self, folder: Path, credentials: Sequence[str]) -> None:
        self._path = private_files.named(folder, "vsphere-session", _FORM, *credentials)

    def read(self) -> Mapping[str, Any] | None:
        """What was kept."""
        kept = private_files.read(self._path)
        if not isinstance(kept, dict) or not {"cookie", "version", "content"} <= kept.keys():
            return None
        _hide(kept)
        return kept

    def write(self, state: Mapping[str, Any]) -> None:
        """Keep it."""
        _hide(state)
        private_files.keep(self._path, dict(state))

    def drop(self, state: Mapping[str, Any]) -> None:
        """Forget it, unless another process has logged in since."""
        kept = self.read()
        if kept is not None and kept["cookie"] == state["cookie"]:
            private_files.forget(self._path)


def _hide(state: Mapping[str, Any]) -> None:
    """The value of the cookie, which has a name and attributes too."""
    remember((str(state["cookie"]).partition(";")[0].partition("=")[2].strip('"'),))


class CallersSession:
    """The session of a ServiceInstance that the caller has logged in. It is kept nowhere, and never logged out."""

    def __init__(self, theirs: Any, where: str) -> None:
        self._theirs, self._where = _stub_of(theirs), where
        self._refused: str | None = None

    def read(self) -> Mapping[str, Any] | None:
        """Nothing is kept."""
        return None

    def write(self, state: Mapping[str, Any]) -> None:
        """Is not kept; no log shows it."""
        _hide(state)

    def drop(self, state: Mapping[str, Any]) -> None:
        """The vCenter has ended it."""
        self._refused = state["cookie"]

    def cookie(self) -> str:
        """Of now: the caller may have logged in again. Raises CpiError for none, and for the one that was refused."""
        found = str(self._theirs.cookie or "")
        if not found or found == self._refused:
            state = "has ended" if found else "is not logged in"
            raise errors.CpiError(
                f"the session of {self._where} that was given to cpi.connect {state}; log in again, and connect with that session"
            )
        return found


def configured(config: CloudConfig) -> CloudConfig:
    """The configuration with the vCenter of a ServiceInstance; user and password are needed for tags only."""
    theirs = config.session
    if theirs is None:
        return config
    block: Any = config.properties
    entries = block if isinstance(block, list) else [block]
    if len(entries) != 1:
        raise errors.CpiError(f"session: a ServiceInstance belongs to one vCenter; the configuration has {len(entries)}")
    values = {"host": _url_of(_stub_of(theirs))}
    if isinstance(entries[0], dict):
        values |= {"user": entries[0].get("user") or "the session's user", "password": entries[0].get("password") or ""}
    properties: Any = [with_session(entries[0], values)]
    return msgspec.structs.replace(config, properties=properties)


def _stub_of(theirs: Any) -> Any:
    """Its adapter: below that of a session which logs in by itself."""
    stub = theirs._GetStub()  # noqa: SLF001 - the SDK has no other way
    return getattr(stub, "soapStub", stub)


def _url_of(stub: Any) -> str:
    secure = "HTTPS" in stub.scheme.__name__ or "SSL" in stub.scheme.__name__
    return f"{'https' if secure else 'http'}://{stub.host}"


def managers(content: Any) -> dict[str, tuple[str, str]]:
    """The managers of a vCenter: by name their type and id."""
    found = {name: getattr(content, name) for name in _MANAGERS}
    return {
        name: (VmomiSupport.GetWsdlName(type(manager)), manager._moId)  # noqa: SLF001 - the id of an object has no public name in the SDK
        for name, manager in found.items()
        if manager is not None
    }


def newest_known(api_version: str) -> str:
    """The newest version of the API that both sides know."""
    requested = _numbers(api_version)
    known = {
        _numbers(name.removeprefix("vim.version.v")): name for name in VmomiSupport.nsMap if re.match(r"vim\.version\.v\d", name)
    }
    fitting = [numbers for numbers in known if numbers <= requested]
    return known[max(fitting)] if fitting else OLDEST


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
