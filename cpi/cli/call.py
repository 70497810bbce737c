"""`cpi call`: calls one method of the contract from the shell."""

import json
import logging
import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cpi.cli import screen
from cpi.cli.options import ConfigFile
from cpi.contract import errors
from cpi.rpc import binding, dispatcher, versions
from cpi.rpc.interruption import Interruption
from cpi.rpc.messages import Request

_NAMED = re.compile(r"(?P<name>[a-z_]+)=(?P<value>.*)", re.DOTALL)
_TOKEN = "token"  # noqa: S105 - the name of an argument


def call(
    method: Annotated[str, typer.Argument(help="CPI method, such as create_disk.")],
    config: ConfigFile,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="Arguments in order, or as NAME=VALUE. A value that is not JSON is a string.", show_default=False),
    ] = None,
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the log of the call while it runs.")] = False,
) -> None:
    """Call one method of the CPI and show the result.

    cpi call create_disk 1024 '{}' · cpi call create_disk size=1024 cloud_properties='{}' token=once
    """
    request = request_of(method, arguments or [])
    interruption = Interruption()
    interruption.install()
    response = dispatcher.answer(request, config, interruption.armed, live_level=logging.DEBUG if verbose else logging.WARNING)
    if response.error is not None:
        again = " (a retry may succeed)" if response.error.ok_to_retry else ""
        screen.fail(f"{response.error.type.rpartition('::')[2]}{again}: {response.error.message}")
    screen.show_json(response.result)


def request_of(name: str, words: Sequence[str]) -> Request:
    """The request for the words of a command line. Raises CpiError for an unknown argument name."""
    method = binding.methods().get(name)
    if method is None:
        raise errors.NotImplemented(f"unknown method {name!r}; known methods: {', '.join(sorted(binding.methods()))}")
    positional, named = _sorted_out(method, words)
    token = named.pop(_TOKEN, None)
    arguments = _in_order(method, positional, named)
    context = {_TOKEN: token} if token is not None else {}
    return Request(name, _to_wire(name, arguments), context, versions.NEWEST)


def _sorted_out(method: binding.Method, words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    wanted = {parameter.name: parameter.wanted for parameter in method.parameters}
    if method.takes_token:
        wanted[_TOKEN] = str
    kinds = list(wanted.values())
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for word in words:
        match = _NAMED.fullmatch(word)
        if match and match["name"] in wanted:
            named[match["name"]] = _value(match["value"], wanted[match["name"]])
        elif match:
            raise errors.CpiError(
                f"{method.name}: unknown argument {match['name']!r}; known arguments: {', '.join(wanted) or 'none'}"
            )
        else:
            positional.append(_value(word, kinds[len(positional)] if len(positional) < len(kinds) else None))
    return positional, named


def _in_order(method: binding.Method, positional: list[Any], named: dict[str, Any]) -> list[Any]:
    names = [parameter.name for parameter in method.parameters]
    twice = [name for name in names[: len(positional)] if name in named]
    if twice:
        raise errors.CpiError(f"{method.name}: {', '.join(twice)} given twice, by position and by name")
    last = max([len(positional), *(names.index(name) + 1 for name in named)])
    missing = [one.name for one in method.parameters[len(positional) : last] if one.name not in named and not one.optional]
    if missing:
        raise errors.CpiError(f"{method.name}: missing: {', '.join(missing)}")
    return [*positional, *(named.get(name) for name in names[len(positional) : last])]


def _to_wire(name: str, arguments: list[Any]) -> list[Any]:
    """create_stemcell's tags travel in an env on the wire."""
    with_tags = 3
    if name == "create_stemcell" and len(arguments) == with_tags:
        return versions.arguments_to_wire(name, arguments, versions.NEWEST)
    return arguments


def _value(word: str, wanted: Any) -> Any:
    """The value as JSON if it is JSON; a CID that looks like a number stays a string."""
    try:
        value = json.loads(word)
    except ValueError:
        return word
    is_text = isinstance(wanted, type) and issubclass(wanted, str)
    return word if is_text and not isinstance(value, str) else value
