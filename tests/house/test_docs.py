"""The pages: every link leads somewhere, and what is generated is current."""

import re

import pytest

from tests.house import pages
from tests.house.source import ROOT, tracked

_LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<target>[^)\s]+)\)")
_PAGES = tuple(path for path in tracked() if path.endswith(".md"))


def _anchors(path: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", _PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    """To a file that is there, and to a heading in it."""
    here = ROOT / page
    for match in _LINK.finditer(here.read_text(encoding="utf-8")):
        target, _, anchor = match["target"].partition("#")
        if "://" in target:
            continue
        found = (here.parent / target).resolve() if target else here
        assert found.exists(), match[0]
        assert not anchor or anchor in _anchors(str(found.relative_to(ROOT))), match[0]


def test_the_generated_pages_are_current() -> None:
    """`make docs` would change nothing."""
    stale = [path for path, wanted in pages.generated().items() if (ROOT / path).read_text(encoding="utf-8") != wanted]
    assert stale == []


def test_every_driver_has_a_page() -> None:
    """Its properties, and what it can and cannot."""
    from cpi import registry

    assert [name for name in registry.driver_names() if not (ROOT / "docs" / "drivers" / f"{name}.md").exists()] == []
