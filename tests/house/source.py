"""The project's own files, read once, for the tests that hold the house to its rules."""

import ast
import functools
import gc
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, eq=False)
class Source:
    """One file of Python."""

    path: str
    text: str
    tree: ast.Module

    @functools.cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All that is in the tree; many tests go through it."""
        return tuple(ast.walk(self.tree))

    @property
    def lines(self) -> int:
        """How long the file is."""
        return self.text.count("\n")

    def functions(self) -> Iterator[Function]:
        """Every function in it, nested ones too."""
        return (node for node in self.nodes if isinstance(node, Function))

    def imports(self) -> set[str]:
        """The dotted names it imports, wherever in the file, save those for the type checker alone."""
        return {name for node in _that_run(self.tree) for name in _imported(node)}


def length(function: Function) -> int:
    """How many lines a function has, its signature and docstring included."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


@functools.cache
def tracked() -> tuple[str, ...]:
    """The paths of all files that git tracks and that are there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return tuple(path for path in sorted(listed.split("\0")) if path and (ROOT / path).is_file())


@functools.cache
def sources(*folders: str) -> tuple[Source, ...]:
    """The Python files under the folders, all of the project's if none is named."""
    wanted = [path for path in tracked() if path.endswith(".py") and (not folders or path.split("/")[0] in folders)]
    gc.disable()  # it would go through half a million nodes again and again while they become more
    try:
        return tuple(_read(path) for path in wanted)
    finally:
        gc.enable()


@functools.cache
def _read(path: str) -> Source:
    text = (ROOT / path).read_text(encoding="utf-8")
    return Source(path, text, ast.parse(text, path))


def _that_run(node: ast.AST) -> Iterator[ast.AST]:
    """The statement and all below it that are more than a help for the type checker."""
    yield node
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    for part in _BLOCKS:
        for child in getattr(node, part, ()):
            yield from _that_run(child)


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
