"""A guest under QEMU for the tests of one worker, and disks in it with a writer that never stops."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.qemu import NotThere, QemuGuest, qemu_guest
from tests.guests.written_disk import WrittenDisks

_CANNOT = "cannot run here: "


@pytest.fixture(scope="session")
def guest() -> Iterator[QemuGuest]:
    """Booted once; what a test attaches is detached when the test ends."""
    try:
        running = qemu_guest()
        with running as booted:
            yield booted
    except NotThere as error:
        pytest.skip(f"{_CANNOT}{error}")


@pytest.fixture
def disks(guest: QemuGuest, tmp_path: Path) -> Iterator[WrittenDisks]:
    """Attaches disks that are mounted and written to until the test ends, and checks them then."""
    made = WrittenDisks(guest, tmp_path)
    try:
        yield made
    finally:
        made.remove()
