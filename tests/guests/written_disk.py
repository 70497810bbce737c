"""A disk that is mounted in a guest, and a process there that writes to it and notes what was acknowledged."""

import subprocess
from pathlib import Path
from typing import Final

from fixtures.qemu import AttachedDisk, QemuGuest, content, filesystem
from fixtures.qemu.guest import Bus

STORE: Final = "/var/vcap/store"
_NOTES: Final = "/run/writer"
# Each row is on the disk before it is noted; what goes wrong is noted, too. It ends when it is asked to.
_WRITER: Final = """
use IO::Handle;
my ($store, $notes) = @ARGV;
open my $rows, '>>', "$store/rows" or die "open: $!";
open my $noted, '>', "$notes.noted" or die "note: $!";
$noted->autoflush;
for (my $row = 1; !-e "$notes.stop"; $row++) {
  print $rows "$row\\n" and $rows->flush and $rows->sync or die "row $row: $!";
  print $noted "$row\\n";
  select undef, undef, undef, 0.05;
}
"""
_START: Final = 'rm -f "$3".*; setsid perl -e "$1" "$2" "$3" >"$3.log" 2>&1 </dev/null & echo $! >"$3.pid"'


class WrittenDisk:
    """One of them, at the place where an agent mounts the persistent disk."""

    def __init__(self, guest: QemuGuest, disk: AttachedDisk) -> None:
        self.disk = disk
        self._guest = guest
        guest.run("mount", "-t", disk.image.kind, disk.device, STORE)
        guest.run("sh", "-c", _START, "sh", _WRITER, STORE, _NOTES)
        self.wait_for_rows()

    def wait_for_rows(self) -> None:
        """Until the writer has written more than it had."""
        before = self._acknowledged()
        self._guest.wait_until(
            f'kill -0 "$(cat {_NOTES}.pid)" && [ "$(wc -l <{_NOTES}.noted)" -gt {before + 3} ]', "the writer does not go on"
        )

    def free_mib(self) -> int:
        """What can still be written."""
        return int(self._guest.run("df", "-B1M", "--output=avail", STORE).split()[-1])

    def assert_nothing_lost(self) -> None:
        """Every row that was acknowledged is there, and the writer met no error."""
        self._stop()
        assert self._guest.run("cat", f"{_NOTES}.log") == ""
        rows = self._guest.run("cat", f"{STORE}/rows").split()
        assert rows == [str(row) for row in range(1, len(rows) + 1)]
        assert len(rows) >= self._acknowledged() > 0

    def remove(self) -> None:
        """Unmounted and detached, also if it is in a bad state."""
        self._stop()
        self._guest.run("umount", STORE)
        self._guest.detach(self.disk)

    def _stop(self) -> None:
        self._guest.run("touch", f"{_NOTES}.stop")
        self._guest.wait_until(f'! kill -0 "$(cat {_NOTES}.pid)" 2>/dev/null', "the writer does not end")

    def _acknowledged(self) -> int:
        return int(self._guest.run("sh", "-c", f"wc -l <{_NOTES}.noted 2>/dev/null || echo 0"))


class WrittenDisks:
    """Makes the disk of one test, and checks its filesystem when it is no longer in use."""

    def __init__(self, guest: QemuGuest, folder: Path) -> None:
        self._guest = guest
        self._folder = folder
        self._made: list[WrittenDisk] = []

    def make(self, bus: Bus, kind: str, table: str, size: int, *, faulty: bool = False) -> WrittenDisk:
        """A disk of so many MiB, mounted and written to; a faulty one knows of errors in its ext4."""
        image = filesystem(self._folder / "disk", size, kind, table, faulty=faulty)
        made = WrittenDisk(self._guest, self._guest.attach(image, bus))
        self._made.append(made)
        return made

    def remove(self) -> None:
        """All are taken away; then their filesystems must be whole."""
        for made in self._made:
            made.remove()
        for made in self._made:
            if not made.disk.image.is_faulty:
                _check(made.disk)


def _check(disk: AttachedDisk) -> None:
    """On this machine, which is quicker than the guest."""
    path = content(disk.image, disk.image.path.with_suffix(".part"))
    checker = ["xfs_repair", "-n"] if disk.image.kind == "xfs" else ["e2fsck", "-f", "-n"]
    done = subprocess.run([*checker, str(path)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
