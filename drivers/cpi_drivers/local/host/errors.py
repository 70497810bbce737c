"""What the machine's refusals mean to a director."""

import errno
import os
import sqlite3
from typing import Final

from cpi.contract import errors
from cpi.kit.translating import Table

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_TOO_FEW_BYTES: Final = 64 * 1024


def table(root: str) -> Table:
    """The errors of a local cloud under root."""

    def of_system(error: BaseException) -> errors.Error:
        number = error.errno if isinstance(error, OSError) else None
        if number in _FULL:
            return _full(root, error)
        if number in _FORBIDDEN:
            return _forbidden(root, error)
        return errors.CloudError(f"the local cloud in {root} failed: {error}")

    def of_database(error: BaseException) -> errors.Error:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL" or (name.startswith("SQLITE_IOERR") and _is_full(root)):
            return _full(root, error)
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            return _full(root, error) if _is_full(root) else _forbidden(root, error)
        if name in {"SQLITE_NOTADB", "SQLITE_CORRUPT"}:
            return errors.CloudError(
                f"the state of the local cloud, {root}/state.sqlite, is damaged: {error}; restore it from a backup"
            )
        return errors.CloudError(f"the state of the local cloud, {root}/state.sqlite, cannot be used: {error}")

    def of_text(error: BaseException) -> errors.Error:
        return errors.CloudError(
            f"the state of the local cloud, {root}/state.sqlite, is damaged: it holds what is no text: {error}; "
            "restore it from a backup"
        )

    return {OSError: of_system, sqlite3.Error: of_database, UnicodeDecodeError: of_text}


def _full(root: str, error: BaseException) -> errors.Error:
    return errors.NoDiskSpace(f"there is no space left for the local cloud in {root}: {error}; free some, or choose another root")


def _forbidden(root: str, error: BaseException) -> errors.Error:
    return errors.CpiError(f"the root folder {root} cannot be written by user id {os.geteuid()}: {error}")


def _is_full(root: str) -> bool:
    try:
        free = os.statvfs(root)
    except OSError:
        return False
    return free.f_bavail * free.f_frsize < _TOO_FEW_BYTES
