"""Secrets that a file only refers to: {from_file: PATH} or {from_env: NAME} in the place of a text, read when they are used."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cpi.contract import errors
from cpi.kit.redaction import remember

_FILE: Final = "from_file"
_ENV: Final = "from_env"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def resolved(value: Any) -> Any:
    """A copy of a document with the secrets in it. Raises CpiError naming what cannot be read."""
    reference = _reference(value)
    if reference is not None:
        secret = _read(*reference)
        remember((secret,))
        return secret
    if isinstance(value, Mapping):
        return {key: resolved(item) for key, item in value.items()}
    return [resolved(item) for item in value] if isinstance(value, list | tuple) else value


def with_absolute_paths(value: Any, folder: Path) -> Any:
    """A copy of a document whose references mean the same from anywhere."""
    reference = _reference(value)
    if reference is not None:
        kind, name = reference
        return {kind: str(folder / name) if kind == _FILE else name}
    if isinstance(value, Mapping):
        return {key: with_absolute_paths(item, folder) for key, item in value.items()}
    return [with_absolute_paths(item, folder) for item in value] if isinstance(value, list | tuple) else value


def without_references(value: Any) -> Any:
    """A copy of a document with nothing in the place of its references: what secrets are left are written in it."""
    if _reference(value) is not None:
        return None
    if isinstance(value, Mapping):
        return {key: without_references(item) for key, item in value.items()}
    return [without_references(item) for item in value] if isinstance(value, list | tuple) else value


def faults_in(value: Any, where: str) -> Iterator[str]:
    """What is wrong with the references in a document: files that are not there, or that others may read."""
    reference = _reference(value)
    if reference is not None:
        kind, name = reference
        fault = fault_of_file(name) if kind == _FILE else None if name in os.environ else f"${name} is not set"
        if fault:
            yield f"{where}: {fault}"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from faults_in(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from faults_in(item, f"{where}[{number}]")


def fault_of_file(path: str) -> str | None:
    """Why a file is no place for a secret; None if it is one."""
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if mode & _OTHERS:
        return f"{path} contains a secret, but other users can read it: chmod 600 {path}"
    return None


def _reference(value: Any) -> tuple[str, str] | None:
    if isinstance(value, Mapping) and len(value) == 1:
        ((key, name),) = value.items()
        if key in {_FILE, _ENV} and isinstance(name, str):
            return str(key), name
    return None


def _read(kind: str, name: str) -> str:
    if kind == _ENV:
        if name not in os.environ:
            raise errors.CpiError(f"a secret refers to ${name}, which is not set")
        return os.environ[name]
    try:
        return Path(name).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise errors.CpiError(f"the secret in {name} cannot be read: {reason}") from error
