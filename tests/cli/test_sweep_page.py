"""The page of leftovers, as text and in a real browser."""

import datetime as dt
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cpi.contract.operator import TaggedResource
from cpi.sweeping.leftovers import Judged
from cpi.sweeping.page import page

_CHROMIUM = shutil.which("chromium")
_SECONDS = 100
_NOW = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
_ODD = "<script>alert('no')</script> & so on"


def _document() -> str:
    left = TaggedResource(
        kind="disk", id="vol-1", tags={"director": _ODD}, created=_NOW - dt.timedelta(days=9), description="10 GiB gp3"
    )
    kept = TaggedResource(kind="VM", id="i-" + "x" * 200, tags={}, name=_ODD, holds=("vol-2",))
    return page("Leftovers", "left over: 1 disk; kept: 1", [Judged(left), Judged(kept, "its age is unknown")], _NOW)


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    """What the cloud says is text."""
    document = _document()
    assert re.findall(r"(?:src|href|url)\s*[=(]", document) == []
    assert "<script" not in document
    assert document.count(html.escape(_ODD)) == 2
    assert "default-src 'none'" in document
    assert "<td>9d</td>" in document


_COUNTED = """<script>
const told = {rows: document.querySelectorAll('tbody tr').length, left: document.querySelectorAll('tr.left').length,
  wide: document.documentElement.scrollWidth > window.innerWidth, elsewhere: performance.getEntriesByType('resource').length,
  tall: document.querySelector('table').getBoundingClientRect().height > 50};
document.title = JSON.stringify(told);
</script>"""


@pytest.mark.parametrize("width", [1280, 500])
def test_a_real_browser_shows_the_table(tmp_path: Path, width: int) -> None:
    """Headless Chromium asks for nothing, and the page is not wider than its window."""
    if _CHROMIUM is None:
        pytest.skip("cannot run here: needs the Debian package chromium")
    file = tmp_path / "leftovers.html"
    # what is counted is counted by a script of this test, which the page itself would not let run
    file.write_text(re.sub(r"<meta http-equiv[^>]*>", "", _document()).replace("</body>", f"{_COUNTED}</body>"))
    command = [_CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--virtual-time-budget=20000"]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        [*command, "--dump-dom", file.as_uri()], env=environment, capture_output=True, text=True, timeout=_SECONDS, check=True
    )
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None, done.stderr
    assert json.loads(html.unescape(title[1])) == {"rows": 2, "left": 1, "wide": False, "elsewhere": 0, "tall": True}
