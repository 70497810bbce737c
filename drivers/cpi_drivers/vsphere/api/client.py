"""The API itself: the only file that imports the SDK, but for errors.py."""

import functools
import http.client
import http.cookies
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult

import pyVmomi
from pyVmomi import VmomiSupport
from pyVmomi.SoapAdapter import SoapStubAdapter

from cpi.contract import errors
from cpi.kit import private_files
from cpi.kit.usual import Usual
from cpi.kit.waiting import refuse_late, wait_until
from cpi_drivers.vsphere.api import connection, questions, session
from cpi_drivers.vsphere.api.errors import SDK_FAULTS, AnswerLost, Refused, Unreached, name_of, refusal, unanswered
from cpi_drivers.vsphere.api.retries import at_length, briefly, patiently
from cpi_drivers.vsphere.settings import VCenter

_log = logging.getLogger(__name__)

vim: Any = pyVmomi.vim
vmodl: Any = pyVmomi.vmodl
pbm: Any = pyVmomi.pbm

Reference = Any
"""A managed object of the SDK; nothing of it is read but through Client.read."""

_PASSING: Final = frozenset({"HostCommunication", "HostNotReachable", "TaskInProgress", "ConcurrentAccess", "ResourceInUse"})


class Step(NamedTuple):
    """From objects of a type by one of its properties to others, whose steps follow."""

    kind: Any
    path: str
    then: Sequence[str] = ()
    """Names of steps."""


_OF_TASK: Final = {vim.Task: ("info.state", "info.error", "info.result"), vim.VirtualMachine: (questions.PATH,)}
_TO_VM: Final = {"what it is about": Step(vim.Task, "info.entity")}


class Client:
    """One vCenter. Any number of threads may use it."""

    def __init__(self, settings: VCenter, callers: Any = None) -> None:
        """With a ServiceInstance that the caller has logged in, or None."""
        self._settings = settings
        self._usual = Usual("vsphere", settings.cache_folder)
        self._lock = threading.RLock()
        self._stub: Any = None
        self._closing: list[Any] = []
        self._policies: tuple[str, Any] | None = None
        self._state: Mapping[str, Any] = {}
        options = settings.connection_options
        self.where = connection.address(settings.host, "host")
        self.trust = connection.trust(options.ca_cert, "connection_options.ca_cert", verify=options.verifies)
        self.folder = private_files.folder(settings.cache_folder)
        self._cache = (
            session.SessionCache(self.folder, [self.where.url, settings.user, settings.password.reveal()])
            if callers is None
            else session.CallersSession(callers, self.where.url)
        )

    # ------------------------------------------------------------------ calls

    def manager(self, name: str) -> Reference:
        """`fileManager` and the like."""
        self._connected()
        if name not in self._state["content"]:
            raise errors.NotSupported(f"{self.where.url} has no {name}: it is too old for this")
        kind, moid = self._state["content"][name]
        return self.reference(kind, moid)

    def reference(self, kind: str, moid: str) -> Reference:
        """An object of which the id is known."""
        return VmomiSupport.GetWsdlType("urn:vim25", kind)(moid, self._connected())

    def call(
        self, target: Reference, operation: str, *, idempotent: bool = False, hurried: bool = False, **arguments: Any
    ) -> Any:
        """The answer. idempotent: it may be done twice, so it is repeated when no answer comes. hurried: it is of no use later.

        Raises Refused for a fault, AnswerLost if it may have been done, Unreached if it was not.
        """
        refuse_late(operation)
        passing = (Unreached, _Passing, AnswerLost) if idempotent else (Unreached, _Passing)
        try:
            return (briefly if hurried else patiently)(lambda: self._answering(target, operation, arguments), passing)
        except _Passing as error:
            raise error.refused from error

    def _answering(self, target: Reference, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Once more when a VM's question was in the way, and is answered."""
        try:
            return self._authenticated(target, operation, arguments)
        except Refused as error:
            if error.fault != questions.PENDING or not isinstance(target, vim.VirtualMachine):
                raise
        questions.answer(self, target)
        return self._authenticated(target, operation, arguments)

    def done(self, target: Reference, operation: str, what: str, *, if_lost: Iterable[str] = (), **arguments: Any) -> Any:
        """Start a task and wait for it; its result.

        When the answer to the start is lost it is started again, and a fault of if_lost then tells that the first one was
        carried out: None is answered.
        """
        try:
            return self.carried_out(lambda: self.call(target, operation, **arguments), what)
        except AnswerLost:
            if not if_lost:
                raise
            _log.info("%s: the answer was lost, asked again", what)
        try:
            return self.carried_out(lambda: self.call(target, operation, **arguments), what)
        except Refused as error:
            if error.fault not in if_lost:
                raise
            return None

    def carried_out(self, begin: Callable[[], Reference], what: str) -> Any:
        """The result of the task that begin starts, and starts again while another (a migration, say) is going on there."""

        def attempt() -> Any:
            try:
                return self.finished(begin(), what)
            except Refused as error:
                if error.fault not in {"TaskInProgress", questions.PENDING}:  # the question is answered on the way
                    raise
                _log.info("%s has to wait: %s", what, error)
                raise _Passing(error) from error

        try:
            return at_length(attempt, _Passing)
        except _Passing as error:
            raise error.refused from error

    def finished(self, task: Reference, what: str) -> Any:
        """The result of a task once it has succeeded. Raises Refused with its fault."""

        def look() -> dict[str, Any] | None:
            found = self.read([task], _OF_TASK, _TO_VM)
            for thing, seen in found.items():
                if thing != task:
                    questions.settle(self, thing, seen)
            now = found[task]
            return now if str(now.get("info.state")) in {"success", "error"} else None

        info = wait_until(look, what, deadline_seconds=self._settings.task_timeout, first_pause_seconds=0.02, usual=self._usual)
        if str(info["info.state"]) == "error":
            raise refusal(what, info.get("info.error"))
        return info.get("info.result")

    # ------------------------------------------------------------------ looking

    def find(self, path: str) -> Reference | None:
        """What lies at a path of the inventory."""
        return self.call(self.manager("searchIndex"), "FindByInventoryPath", idempotent=True, inventoryPath=path)

    def read(
        self, objects: Sequence[Reference], wanted: Mapping[Any, Sequence[str]], steps: Mapping[str, Step] | None = None
    ) -> dict[Reference, dict[str, Any]]:
        """The properties of objects, and of what the steps lead to, in one call. What an object has not is left out.

        Raises Refused (ManagedObjectNotFound) if an object does not exist.
        """
        steps = steps or {}
        traversals = [
            vmodl.query.PropertyCollector.TraversalSpec(
                name=name,
                type=step.kind,
                path=step.path,
                skip=False,
                selectSet=[vmodl.query.PropertyCollector.SelectionSpec(name=then) for then in step.then],
            )
            for name, step in steps.items()
        ]
        spec = vmodl.query.PropertyCollector.FilterSpec(
            propSet=[
                vmodl.query.PropertyCollector.PropertySpec(type=kind, pathSet=list(paths)) for kind, paths in wanted.items()
            ],
            objectSet=[vmodl.query.PropertyCollector.ObjectSpec(obj=item, skip=False, selectSet=traversals) for item in objects],
        )
        collector = self.manager("propertyCollector")
        options = vmodl.query.PropertyCollector.RetrieveOptions()
        page = self.call(collector, "RetrievePropertiesEx", idempotent=True, specSet=[spec], options=options)
        found: dict[Reference, dict[str, Any]] = {}
        while page is not None:
            for item in page.objects:
                found.setdefault(item.obj, {}).update({prop.name: prop.val for prop in item.propSet})
            if not page.token:
                break
            page = self.call(collector, "ContinueRetrievePropertiesEx", idempotent=True, token=page.token)
        return found

    # ------------------------------------------------------------------ files on datastores

    def transfer(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """An HTTP request beside SOAP, by the same session. Raises Unreached or AnswerLost."""
        self._connected()
        sent = {"Cookie": self._stub.cookie, **(headers or {})}
        return patiently(lambda: self._sent(self.where, method, path, body, sent), (Unreached, AnswerLost))

    def upload(
        self, method: str, url: SplitResult, body: Iterable[bytes], headers: Mapping[str, str], thumbprint: str | None = None
    ) -> tuple[int, bytes]:
        """A stream to where a lease says: a host, often, by the thumbprint that the lease tells. It cannot be repeated."""
        where = self.where
        if url.hostname != where.host:
            where = connection.Address(str(url.hostname), url.port or 443, secure=True)
        pinned = thumbprint if where is not self.where and self._settings.connection_options.verifies else None
        return self._sent(where, method, url._replace(scheme="", netloc="").geturl(), body, headers, pinned)

    def _sent(
        self,
        where: connection.Address,
        method: str,
        path: str,
        body: Any,
        headers: Mapping[str, str],
        thumbprint: str | None = None,
    ) -> tuple[int, bytes]:
        wire = connection.connection(where, self.trust, self._settings.request_timeout, thumbprint)
        try:
            wire.request(method, path, body, dict(headers))
            answer = wire.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise unanswered(f"{method} {path.partition('?')[0]}", error, where.url) from error
        finally:
            wire.close()

    def pbm(self) -> Any:
        """The content of the service of storage policies, which knows this session. It is asked by pbm_call."""
        cookie = self._connected().cookie
        if self._policies is None or self._policies[0] != cookie:
            stub = self._new_stub("pbm.version.version11", path="/pbm")
            stub.cookie = cookie
            session = http.cookies.SimpleCookie(cookie).get("vmware_soap_session")
            stub.requestContext = {"vcSessionCookie": session.value if session else ""}
            self._closing.append(stub)
            asked = pbm.ServiceInstance("ServiceInstance", stub).PbmRetrieveServiceContent
            self._policies = (
                cookie,
                patiently(lambda: _spoken("PbmRetrieveServiceContent", asked, self.where.url), (Unreached, AnswerLost)),
            )
        return self._policies[1]

    def pbm_call(self, target: Any, operation: str, **arguments: Any) -> Any:
        """The answer of the service of storage policies, of which nothing is changed."""
        asked = functools.partial(_spoken, operation, lambda: getattr(target, operation)(**arguments), self.where.url)
        return patiently(asked, (Unreached, AnswerLost, _Passing))

    def renew(self) -> None:
        """Log in again."""
        with self._lock:
            self._forget(self._stub)
            self._connected()

    # ------------------------------------------------------------------ the session

    def close(self) -> None:
        """Let go of connections; the session stays for the next process."""
        with self._lock:
            for stub in (self._stub, *self._closing):
                if stub is not None:
                    stub.DropConnections()
            self._stub, self._closing, self._policies = None, [], None

    def _authenticated(self, target: Reference, operation: str, arguments: Mapping[str, Any]) -> Any:
        stub = self._connected()
        try:
            return self._attempt(stub, target, operation, arguments)
        except Refused as error:
            if error.fault != "NotAuthenticated":
                raise
        with self._lock:
            if self._stub is stub:
                self._forget(stub)
        return self._attempt(self._connected(), target, operation, arguments)

    def _attempt(self, stub: Any, target: Reference, operation: str, arguments: Mapping[str, Any]) -> Any:
        # A method is called through the object that its target is bound to: the session may be another by now.
        bound = type(target)(target._moId, stub)  # noqa: SLF001 - the id of an object has no public name in the SDK
        return _spoken(operation, lambda: getattr(bound, operation)(**arguments), self.where.url)

    def _connected(self) -> Any:
        with self._lock:
            if self._stub is None:
                kept = self._cache.read()
                self._stub, self._state = self._resumed(kept) if kept else self._logged_in()
            return self._stub

    def _resumed(self, kept: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        stub = self._new_stub(kept["version"])
        stub.cookie = kept["cookie"]
        return stub, kept

    def _logged_in(self) -> tuple[Any, Mapping[str, Any]]:
        def log_in() -> tuple[Any, Mapping[str, Any]]:
            about, content = self._content()
            stub = self._new_stub(session.newest_known(about.apiVersion))
            try:
                if isinstance(self._cache, session.CallersSession):
                    stub.cookie = self._cache.cookie()
                else:
                    arguments = {"userName": self._settings.user, "password": self._settings.password.reveal()}
                    self._attempt(stub, content.sessionManager, "Login", arguments)
            except errors.Error:
                stub.DropConnections()
                raise
            managers = session.managers(content)
            state = {"cookie": stub.cookie, "version": stub.version, "content": managers, "instance": about.instanceUuid}
            self._cache.write(state)
            return stub, state

        try:
            return patiently(log_in, (Unreached, AnswerLost))
        except Refused as error:
            if error.fault != "InvalidLogin":
                raise
            raise errors.CloudError(f"{self.where.url} does not let {self._settings.user!r} in: {error.said}") from error

    def _content(self) -> tuple[Any, Any]:
        stub = self._new_stub(session.OLDEST)
        try:
            content = self._attempt(stub, vim.ServiceInstance("ServiceInstance", stub), "RetrieveServiceContent", {})
        finally:
            stub.DropConnections()
        return content.about, content

    def _new_stub(self, version: str, path: str = "/sdk") -> Any:
        proxy = connection.proxy_to(self.where) or (None, 80)
        return SoapStubAdapter(
            httpProxyHost=proxy[0],
            httpProxyPort=proxy[1],
            host=self.where.host,
            path=path,
            port=self.where.port if self.where.secure else -self.where.port,
            version=version,
            sslContext=self.trust,
            httpConnectionTimeout=self._settings.request_timeout,
        )

    def _forget(self, stub: Any) -> None:
        if stub is not None:
            self._cache.drop({"cookie": stub.cookie})
            stub.DropConnections()
        self._stub = None


class _Passing(errors.CloudError):
    """A fault that may pass: nothing was done."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.message)
        self.refused = refused


def _spoken(operation: str, attempt: Callable[[], Any], where: str) -> Any:
    try:
        return attempt()
    except SDK_FAULTS as fault:
        refused = refusal(operation, fault)
        raise (_Passing(refused) if name_of(fault) in _PASSING else refused) from fault
    except (OSError, http.client.HTTPException) as error:
        raise unanswered(operation, error, where) from error
