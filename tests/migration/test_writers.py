"""The judges of databases find what is wrong: a row that is not as it was written is missed, or all is said to be torn."""

import sqlite3
from pathlib import Path

import pytest

from tests.migration.writers import KINDS
from tests.migration.writing import Writing, text_of

pytestmark = pytest.mark.root  # O_DIRECT

_ROWS, _HURT = 45, 21


def _seen(writing: Writing) -> set[int]:
    try:
        return writing.rows()
    except (ValueError, OSError, sqlite3.DatabaseError):
        return set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_is_hurt_is_missed(tmp_path: Path, kind: str) -> None:
    """All of them are there before."""
    made, _ = KINDS[kind]
    writing = made(tmp_path, 2)
    writing.begin()
    for number in range(1, _ROWS + 1):
        writing.write(number)
    writing.end()
    assert writing.rows() == set(range(1, _ROWS + 1))
    word = text_of(_HURT)[:32].encode()
    for path in tmp_path.rglob("*"):
        size = path.stat().st_size
        if path.is_file() and size < 1 << 30 and word in path.read_bytes():
            path.write_bytes(path.read_bytes().replace(word, word[::-1]))
        elif size > 1 << 30:
            with path.open("r+b") as file:
                file.seek(_HURT * 786433 % (5 << 18) * 4096)
                block = file.read(4096)
                assert word in block
                file.seek(-4096, 1)
                file.write(block.replace(word, word[::-1]))
    assert _HURT not in _seen(made(tmp_path, 2))
