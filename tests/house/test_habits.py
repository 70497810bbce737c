"""What the code does not do: catch everything, sleep, print, run a shell, or name a machine."""

import ast
import re
from collections.abc import Iterator

from tests.house.source import ROOT, Source, sources, tracked

_BROAD = {"Exception", "BaseException"}
_MAY_CATCH_ALL = {"cpi/rpc/dispatcher.py", "cpi/kit/undo.py"}
_MAY_SLEEP = {"cpi/kit/waiting.py", "cpi/kit/retrying.py"}
_STREAMS = {"stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__"}
_MAY_USE_STREAMS = (
    "drivers/cpi_drivers/local/agent/launcher.py",
    "drivers/cpi_drivers/local/agent/pid_process.py",
    "cpi/cli/",
    "cpi/__main__.py",
    "cpi/rpc/process.py",
    "cpi/rpc/log.py",
    "cpi/rpc/warm/call.py",
    "cpi/testing/fork_server_process.py",
)
_MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/[\w.]")
_TEXT = re.compile(r"\.(py|md|toml|txt|yml|yaml|json|jsonl|cfg|ini)$|(^|/)(Makefile|run)$")


def _where(source: Source, node: ast.AST) -> str:
    return f"{source.path}:{getattr(node, 'lineno', 0)}"


def _names(node: ast.expr | None) -> Iterator[str]:
    for part in ast.walk(node) if node is not None else ():
        if isinstance(part, ast.Name):
            yield part.id


def test_everything_is_caught_in_two_places_only() -> None:
    """The dispatcher, which must always answer, and undoing, which must not hide the first error."""
    found = [
        _where(source, node)
        for source in sources("cpi", "drivers")
        if source.path not in _MAY_CATCH_ALL
        for node in source.nodes
        if isinstance(node, ast.ExceptHandler) and (node.type is None or _BROAD & set(_names(node.type)))
        if not _raises_again(node)
    ]
    assert found == []


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_only_waiting_and_retrying_sleep() -> None:
    """A wait has a deadline and says what it waits for."""
    found = [
        _where(source, node)
        for source in sources("cpi", "drivers")
        if source.path not in _MAY_SLEEP
        for node in source.nodes
        if (isinstance(node, ast.Attribute) and node.attr == "sleep" and _names_time(node))
        or (isinstance(node, ast.ImportFrom) and node.module == "time" and any(alias.name == "sleep" for alias in node.names))
    ]
    assert found == []


def _names_time(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "time"


def test_only_the_outermost_rooms_know_the_streams() -> None:
    """One stray byte on stdout would break a response."""
    found = [
        _where(source, node)
        for source in sources("cpi", "drivers")
        if not source.path.startswith(_MAY_USE_STREAMS)
        for node in source.nodes
        if _is_stream(node) or (isinstance(node, ast.Call) and {"print", "input"} & set(_names(node.func)))
    ]
    assert found == []


def _is_stream(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute) and node.attr in _STREAMS and isinstance(node.value, ast.Name) and node.value.id == "sys"
    )


def test_no_command_goes_through_a_shell() -> None:
    """Arguments are lists: what a name holds is never read as a command."""
    found = [
        _where(source, node)
        for source in sources()
        for node in source.nodes
        if (isinstance(node, ast.Call) and _starts_a_shell(node))
        or (isinstance(node, ast.Attribute) and node.attr in {"system", "popen"} and "os" in set(_names(node.value)))
    ]
    assert found == []


def _starts_a_shell(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    asked = any(word.arg == "shell" and not _is_false(word.value) for word in call.keywords)
    return name == "create_subprocess_shell" or (name in {"run", "Popen", "call", "check_call", "check_output"} and asked)


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def test_errors_are_never_untyped() -> None:
    """Whoever catches an error can tell what it is."""
    found = [
        _where(source, node)
        for source in sources("cpi", "drivers")
        for node in source.nodes
        if isinstance(node, ast.Raise) and {"Exception", "BaseException", "RuntimeError"} & set(_names(node.exc))
    ]
    assert found == []


def test_every_silenced_rule_has_its_reason() -> None:
    """`noqa: RULE - why` and `type: ignore[code]  # why`."""
    bare = re.compile(r"# noqa(?!: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)* - \S)|# type: ignore(?!\[[\w-]+(, ?[\w-]+)*\]  # \S)")
    found = [
        f"{source.path}:{number}"
        for source in sources()
        for number, line in enumerate(source.text.splitlines(), 1)
        if "re.compile" not in line and bare.search(line)
    ]
    assert found == []


def test_no_tracked_file_names_a_machine() -> None:
    """Paths of somebody's home mean nothing elsewhere."""
    found = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in tracked()
        if _TEXT.search(path)
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
        if _MACHINE_PATH.search(line)
    ]
    assert found == []
