"""YAML that operators write, and what is made to keep its reader busy."""

from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.kit.yaml_file import read_yaml


def _levels(shape: str) -> str:
    return "".join(shape.format(level=level, below=level - 1) for level in range(1, 40))


@pytest.mark.parametrize(
    "bomb",
    [
        "a0: &a0 [x]\n" + _levels("a{level}: &a{level} [*a{below}, *a{below}, *a{below}]\n"),
        "a0: &a0 {x: y}\n" + _levels("a{level}: &a{level} {{l: *a{below}, r: *a{below}}}\n"),
        "a0: &a0 {x: y}\n" + _levels("a{level}: &a{level} {{<<: [*a{below}, *a{below}, *a{below}]}}\n"),
        "a: &a [*a]\n",
    ],
)
def test_a_file_that_grows_beyond_measure_is_refused(tmp_path: Path, bomb: str) -> None:
    """By aliases of aliases, by merge keys, by a list in itself."""
    file = tmp_path / "bomb.yml"
    file.write_text(bomb)
    with pytest.raises(errors.CpiError, match="when its aliases"):
        read_yaml(str(file), "files need", "durable")


def test_aliases_and_merge_keys_that_people_write_are_read(tmp_path: Path) -> None:
    """They are what defaults are written with."""
    file = tmp_path / "good.yml"
    file.write_text("base: &base {size: 1, list: &l [1, 2]}\none: {<<: *base, size: 2}\ntwo: [*l, *l]\n")
    assert read_yaml(str(file), "files need", "durable") == {
        "base": {"size": 1, "list": [1, 2]}, "one": {"size": 2, "list": [1, 2]}, "two": [[1, 2], [1, 2]],
    }  # fmt: skip


def test_what_is_nested_too_deep_is_told(tmp_path: Path) -> None:
    """With the file's name."""
    file = tmp_path / "deep.yml"
    file.write_text("[" * 5000)
    with pytest.raises(errors.CpiError, match=r"deep\.yml is not YAML"):
        read_yaml(str(file), "files need", "durable")
