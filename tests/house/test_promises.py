"""SECURITY.md and the threat model promise what tests hold, and name them."""

import re

import pytest

from tests.house.source import ROOT

_TEST = re.compile(r"\[(?P<name>test_\w+)\]\((?:\.\./)?(?P<path>tests/[\w/]+\.py)\)")
_PAGES = ("SECURITY.md", "docs/threat-model.md")


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", _PAGES)
def test_every_test_that_is_named_is_there(page: str) -> None:
    """In the file that the link leads to."""
    named = [(match["name"], match["path"]) for match in _TEST.finditer(_text(page))]
    assert named
    assert [name for name, path in named if f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")] == []


def test_no_promise_is_without_a_test() -> None:
    """Each item of the list names one at least, and every link that looks like a test is one."""
    text = _text("SECURITY.md")
    promises = re.split(r"\n(?=- )", text.partition("\n- ")[2].partition("\n\n")[0])
    assert len(promises) > 5
    assert [promise for promise in promises if not _TEST.search(promise)] == []
    for page in _PAGES:
        assert len(re.findall(r"\]\([^)]*tests/", _text(page))) == len(_TEST.findall(_text(page)))
