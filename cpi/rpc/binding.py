"""From the wire's positional arguments to a call of Cloud, checked against Cloud's own signatures before anything is called."""

import functools
import inspect
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.encoding import from_plain, to_plain
from cpi.contract.model import CallContext, Env, Network, Networks
from cpi.contract.units import MiB
from cpi.rpc import versions
from cpi.rpc.messages import Request, kind_of

_NOT_ON_THE_WIRE: Final = frozenset({"connect", "close", "for_request"})
_RESERVED: Final = frozenset({"director_uuid", "request_id", "vm", "token"})


class Parameter(NamedTuple):
    """One positional argument of a method."""

    name: str
    wanted: Any
    optional: bool


class Method(NamedTuple):
    """One method of the protocol, read from Cloud's signature."""

    name: str
    parameters: tuple[Parameter, ...]
    returns: Any
    takes_token: bool


class Call(NamedTuple):
    """A method and what to call it with."""

    method: Method
    arguments: Mapping[str, Any]

    def on(self, cloud: Cloud) -> object:
        """What the cloud returns, unchecked."""
        return getattr(cloud, self.method.name)(**self.arguments)

    def checked(self, returned: object, cloud_name: str) -> object:
        """What was returned. Raises CloudError if it is not what the contract promises."""
        if self.method.returns is type(None):
            return None
        try:
            from_plain(to_plain(returned), self.method.returns)
        except (msgspec.ValidationError, NotImplementedError, TypeError) as error:
            raise errors.CloudError(
                f"the driver {cloud_name} returned an invalid result for {self.method.name}: {error}"
            ) from error
        return returned


@functools.cache
def methods() -> Mapping[str, Method]:
    """Every method of the protocol by its name."""
    return {
        name: _method(name, function)
        for name, function in vars(Cloud).items()
        if inspect.isfunction(function) and not name.startswith("_") and name not in _NOT_ON_THE_WIRE
    }


def bind(request: Request, token: str | None) -> Call:
    """Raises NotImplemented for an unknown method, CpiError naming every argument that does not fit."""
    method = methods().get(request.method)
    if method is None:
        raise errors.NotImplemented(f"unknown method {request.method[:100]!r}; known methods: {', '.join(sorted(methods()))}")
    version = versions.NEWEST if method.name == "info" else versions.spoken(request.api_version)
    parameters = _parameters(method, version)
    _check_arity(method.name, parameters, request.arguments)
    arguments = _read_all(method.name, parameters, request.arguments)
    if method.name == "create_stemcell":
        arguments["tags"] = versions.stemcell_tags(arguments.pop("env", {}))
    if method.takes_token:
        arguments["token"] = token
    return Call(method, arguments)


def read_context(context: Mapping[str, Any]) -> CallContext:
    """Who calls; every key that is not the protocol's own is a property of a cpi-config. Raises CpiError naming every fault."""
    words: dict[str, Any] = {
        key: context[key] for key in ("director_uuid", "request_id", "token") if context.get(key) is not None
    }
    faults = [
        f"context.{key}: expected a string, got {kind_of(word)}" for key, word in words.items() if not isinstance(word, str)
    ]
    vm = context.get("vm") or {}
    stemcell = (vm.get("stemcell") or {}) if isinstance(vm, dict) else None
    version = stemcell.get("api_version") if isinstance(stemcell, dict) else "none"
    if version is not None and type(version) is not int:
        faults.append("context.vm: expected {stemcell: {api_version: a whole number}}")
    if faults:
        raise errors.CpiError("the request has faults:\n" + "\n".join(f"  {fault}" for fault in faults))
    properties = {key: value for key, value in context.items() if key not in _RESERVED}
    return CallContext(stemcell_api_version=typing.cast("int | None", version), properties=properties, **words)


def _method(name: str, function: Any) -> Method:
    hints = typing.get_type_hints(function)
    declared = [parameter for parameter in inspect.signature(function).parameters.values() if parameter.name != "self"]
    parameters = tuple(
        Parameter(parameter.name, hints[parameter.name], parameter.default is not parameter.empty)
        for parameter in declared
        if parameter.name != "token"
    )
    return Method(name, parameters, hints["return"], takes_token=len(parameters) < len(declared))


def _parameters(method: Method, version: int) -> tuple[Parameter, ...]:
    if method.name != "create_stemcell":
        return method.parameters
    without_tags = method.parameters[:-1]
    return (*without_tags, Parameter("env", Env, optional=True)) if versions.takes_stemcell_tags(version) else without_tags


def _check_arity(method: str, parameters: Sequence[Parameter], arguments: Sequence[Any]) -> None:
    most = len(parameters)
    least = sum(not parameter.optional for parameter in parameters)
    if least <= len(arguments) <= most:
        return
    count = str(most) if least == most else f"{least} to {most}"
    names = ", ".join(f"[{parameter.name}]" if parameter.optional else parameter.name for parameter in parameters)
    raise errors.CpiError(
        f"{method} takes {count} argument{'' if most == 1 else 's'}{f' ({names})' if names else ''}, got {len(arguments)}"
    )


def _read_all(method: str, parameters: Sequence[Parameter], arguments: Sequence[Any]) -> dict[str, Any]:
    faults: list[str] = []
    values: dict[str, Any] = {}
    for parameter, argument in zip(parameters, arguments, strict=False):
        if argument is None and parameter.optional:
            continue
        try:
            values[parameter.name] = _read(parameter.wanted, argument)
        except msgspec.ValidationError as error:
            faults.append(f"{parameter.name}{_fault(str(error))}")
    if faults:
        raise errors.CpiError(f"{method}: invalid arguments:\n" + "\n".join(f"  {fault}" for fault in faults))
    return values


def _read(wanted: Any, argument: Any) -> Any:
    if wanted == Networks:
        return _networks(argument)
    if wanted is MiB:
        return _size(argument)
    if argument is None and typing.get_origin(wanted) is Mapping:
        return {}
    return from_plain(argument, wanted)


def _size(argument: Any) -> MiB:
    size = from_plain(argument, int)
    if size < 1:
        raise msgspec.ValidationError(f"Expected at least 1 MiB, got {size}")
    return MiB(size)


def _networks(argument: Any) -> Networks:
    networks: dict[str, Network] = {}
    for name, document in from_plain(argument, dict[str, dict[str, Any]]).items():
        try:
            networks[name] = Network.from_document(document)
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(str(error).replace("`$", f"`$.{name}")) from None
    return networks


def _fault(message: str) -> str:
    """msgspec's `Expected … - at `$.a`` with the path in front, as the other faults are told."""
    text, _, path = message.partition(" - at `$")
    return f"{path.rstrip('`')}: {text[:1].lower()}{text[1:]}"
