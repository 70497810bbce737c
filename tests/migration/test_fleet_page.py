"""The report of a fleet: a row for each disk, as it is read in a terminal, by programs, and in a real browser."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cpi.contract.encoding import from_plain
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.migration.durable.entry import Entry
from cpi.migration.durable.records import MoveRecord, Outcome, Standing
from cpi.migration.fleet_table import FleetRow, rows_of
from cpi.migration.picture.page import page
from cpi.migration.report import Report

_RECORDED = Path(__file__).parents[2] / "fixtures" / "moves"
_CHROMIUM = shutil.which("chromium")
_SECONDS = 100


def _record(name: str, standing: Standing, message: str = "") -> MoveRecord:
    report = from_plain(json.loads((_RECORDED / f"{name}.json").read_text(encoding="utf-8")), Report)
    entry = Entry("/c.json", report.vm_cid, report.old_disk_cid, report.size, old_size=MiB(64))
    swapped = standing is Standing.MOVED
    return MoveRecord(f"fleet-1-{name}", standing, entry, 1.0, outcome=Outcome(standing, message, report, swapped=swapped))


@pytest.fixture
def rows() -> tuple[FleetRow, ...]:
    """Moves that were recorded, one that failed with odd letters in what it says, one that is under way."""
    entry = Entry("/c.json", VmCid("vm-9"), DiskCid("disk-9"), MiB(2048))
    return rows_of(
        [
            _record("live", Standing.MOVED),
            _record("copy", Standing.MOVED),
            _record("resize", Standing.MOVED),
            _record("failed", Standing.FAILED, "<script>alert('no')</script> & so on"),
            MoveRecord("fleet-1-0005", Standing.UNDER_WAY, entry, 1.0),
        ]
    )


def test_a_row_tells_before_and_after_the_time_down_what_was_compared_and_the_notes(rows: tuple[FleetRow, ...]) -> None:
    """Of a move that failed why; of one that is under way what is known."""
    live, _, resize, failed, going = rows
    assert live.report is not None
    assert live.disks == f"{live.report.old_disk_cid} → {live.report.disk_cid}"
    assert live.sizes == f"64 MiB → {live.size} MiB"
    assert (live.jobs_down_seconds, live.seconds) == (live.report.jobs_down_seconds, live.report.seconds)
    assert (resize.disks, resize.verified) == (resize.disk, "the same disk")
    assert (failed.standing, failed.new_disk, failed.told[0][:8]) == ("failed", None, "<script>")
    assert (going.standing, going.disks, going.sizes, going.seconds) == ("under way", "disk-9", "→ 2.0 GiB", None)


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(rows: tuple[FleetRow, ...]) -> None:
    """No address but those of data, no script; what the moves say is text."""
    document = page("fleet fleet-1", "3 moved, 1 failed", rows)
    assert re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:image/svg)[^\"' )]+", document) == []
    assert "<script" not in document
    assert html.escape("<script>alert('no')</script> & so on") in document
    assert "default-src 'none'" in document


_COUNTED = """<script>
const images = [...document.querySelectorAll('img')], all = [...document.querySelectorAll('*')];
for (const one of document.querySelectorAll('details')) one.open = true;
Promise.all(images.map(image => image.decode())).then(() => {
  const bars = [...document.querySelectorAll('.plot i')].filter(bar => bar.getBoundingClientRect().width > 0).length;
  const wide = document.documentElement.scrollWidth > window.innerWidth;
  const told = {rows: document.querySelectorAll('tbody tr').length, images: images.filter(i => i.naturalWidth > 0).length,
                bars, wide, elsewhere: performance.getEntriesByType('resource').filter(r => !r.name.startsWith('data:')).length};
  document.title = JSON.stringify(told);
});
</script>"""


@pytest.mark.parametrize("width", [1280, 500])
def test_a_real_browser_shows_the_table_and_every_timeline(rows: tuple[FleetRow, ...], tmp_path: Path, width: int) -> None:
    """Headless Chromium draws each picture, asks for nothing, and the page is not wider than its window."""
    if _CHROMIUM is None:
        pytest.skip("cannot run here: needs the Debian package chromium")
    document = page("fleet fleet-1", "3 moved, 1 failed", rows)
    file = tmp_path / "fleet.html"
    # what is counted is counted by a script of this test, which the page itself would not let run
    file.write_text(re.sub(r"<meta http-equiv[^>]*>", "", document).replace("</body>", f"{_COUNTED}</body>"))
    command = [_CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--virtual-time-budget=20000"]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        [*command, "--dump-dom", file.as_uri()], env=environment, capture_output=True, text=True, timeout=_SECONDS, check=True
    )
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None, done.stderr
    told = json.loads(html.unescape(title[1]))
    assert told == {"rows": 5, "images": 4, "bars": told["bars"], "wide": False, "elsewhere": 0}
    assert told["bars"] >= 4
